import HostOS
import Testing
import TestSupport

@testable import RemoteDevice

/// Messages come over a socket whole, with their descriptors, however they were cut up.
@Suite(.timeLimit(.minutes(5))) struct VfioUserChannelTests {
  private static func packet(
    _ channel: inout VfioUserChannel
  ) throws -> (VfioUserRequest, descriptors: Int)? {
    switch try channel.receive() {
    case .packet(let packet):
      let request = try packet.request(fromServer: false, dataLimit: 4096)
      return (request, packet.descriptors.count)
    case .nothing: return nil
    case .end: return nil
    }
  }

  @Test func aMessageThatComesByteByByteIsOneMessage() throws {
    let pair = try SocketPair()
    var channel = VfioUserChannel(try pair.near.duplicated())
    let access = VfioUserRegionAccess(offset: 3, region: 1, count: 3)
    let request = VfioUserRequest.writeRegion(access, [1, 2, 3])
    let bytes = request.message(id: 1)
    for byte in bytes.dropLast() {
      _ = try SocketIO.send(pair.far.rawValue, [byte])
      let isWhole = try Self.packet(&channel) != nil
      #expect(!isWhole)
      #expect(channel.waitsSince != nil)
    }
    _ = try SocketIO.send(pair.far.rawValue, bytes.suffix(1))
    let (received, descriptors) = try #require(try Self.packet(&channel))
    #expect(received == request && descriptors == 0)
    #expect(channel.waitsSince == nil)
  }

  @Test func descriptorsStayWithTheirMessage() throws {
    let pair = try SocketPair()
    var near = VfioUserChannel(try pair.near.duplicated())
    var far = VfioUserChannel(try pair.far.duplicated())
    let event = try EventFD()
    let map = VfioUserDMAMap(flags: 3, offset: 0, address: 0, size: 4096)
    let request = VfioUserRequest.mapDMA(map, hasDescriptor: true)
    try far.send(request.message(id: 1), descriptors: [event.rawValue])
    try far.send(VfioUserRequest.reset.message(id: 2))
    let first = try #require(try Self.packet(&near))
    #expect(first.0 == request && first.descriptors == 1)
    let second = try #require(try Self.packet(&near))
    #expect(second.0 == .reset && second.descriptors == 0)
  }

  @Test func whatASocketDoesNotTakeIsKeptAndSentLater() throws {
    let pair = try SocketPair()
    var near = VfioUserChannel(try pair.near.duplicated())
    var far = VfioUserChannel(try pair.far.duplicated())
    let access = VfioUserRegionAccess(offset: 0, region: 1, count: 4096)
    let data = [UInt8](repeating: 7, count: 4096)
    let bytes = VfioUserRequest.writeRegion(access, data).message(id: 0)
    var sent = 0
    while !far.isSending {
      try far.send(bytes)
      sent += 1
    }
    // The eventfd is closed by its owner before it is on its way.
    do {
      let event = try EventFD()
      let set = VfioUserInterruptSet(
        index: 0,
        start: 0,
        interruptCount: 1,
        data: .events,
        action: .trigger
      )
      try far.send(
        VfioUserRequest.setInterrupts(set, hasDescriptors: true).message(id: 0),
        descriptors: [event.rawValue]
      )
    }
    #expect(far.waitsSince != nil)
    near.receiver.allow(data: 4096)
    var received = 0
    var descriptors = 0
    while received <= sent {
      if let packet = try Self.packet(&near) {
        received += 1
        descriptors += packet.descriptors
      } else {
        try far.flush()
      }
    }
    #expect(received == sent + 1 && descriptors == 1 && !far.isSending)
  }

  @Test func aMessageLongerThanAgreedOnIsRefusedBeforeItIsRead() throws {
    let pair = try SocketPair()
    var channel = VfioUserChannel(try pair.near.duplicated())
    let header = VfioUserHeader(.writeRegion, id: 0, payloadCount: 1 << 20)
    _ = try SocketIO.send(pair.far.rawValue, header.bytes[...])
    #expect(
      throws: VfioUserError.badMessageSize(
        command: 10,
        size: header.size,
        limit: VfioUserHeader.sizeLimit
      )
    ) { _ = try Self.packet(&channel) }
  }

  @Test func anEndInsideOfAMessageIsSaid() throws {
    var pair: SocketPair? = try SocketPair()
    var channel = VfioUserChannel(try pair.borrow { try $0.near.duplicated() }!)
    _ = try pair.borrow { try SocketIO.send($0.far.rawValue, [1, 2, 3]) }
    pair = nil
    #expect(throws: VfioUserError.cutShort(3)) {
      while try Self.packet(&channel) != nil {}
      _ = try Self.packet(&channel)
    }
  }

  @Test func tooManyDescriptorsAreRefusedAndClosed() throws {
    let pair = try SocketPair()
    var channel = VfioUserChannel(try pair.near.duplicated())
    let event = try EventFD()
    let numbers = [Int32](repeating: event.rawValue, count: 40)
    _ = try SocketIO.send(
      pair.far.rawValue,
      VfioUserRequest.reset.message(id: 0)[...],
      descriptors: numbers
    )
    #expect(throws: VfioUserError.tooManyDescriptors(limit: 32)) { _ = try Self.packet(&channel) }
  }
}
