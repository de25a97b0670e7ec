import Glibc
import HostOS
import Synchronization
import TestSupport

@testable import RemoteDevice

/// A vfio-user server for tests: a PCI function with a BAR that is memory, a doorbell, a pin, and MSI-X; it
/// answers some requests as it is told to.
final class FakeVfioUserServer: Sendable {
  /// How it answers a request.
  enum Answer: Sendable {
    /// With these bytes as the payload.
    case payload([UInt8])
    /// With these bytes and an eventfd, a pipe, or many of the former.
    case descriptors([UInt8], Int)
    case pipe([UInt8])
    /// With these bytes as the whole message.
    case raw([UInt8])
    /// With an error.
    case refusal(Int32)
    case silence
    case end
    /// Well, and with one more reply that nobody asked for.
    case twice
    /// Well, and with the beginning of another message.
    case half
  }

  /// What the client has handed over.
  struct Held {
    var requests: [VfioUserRequest] = []
    var maps: [VfioUserDMAMap] = []
    var level: EventFD?
    var end: EventFD?
    var vectors: [Int: EventFD] = [:]
    /// The same of MSI.
    var messages: [Int: EventFD] = [:]
    var registers = [UInt8](repeating: 0, count: 4096)
    var connections = 0
    var replies: [(VfioUserHeader, [UInt8])] = []
    /// What is left to read of the device's state, and what was written of one.
    var outgoing = [UInt8](repeating: 0x5A, count: 3000)
    var incoming: [UInt8] = []
  }

  /// The BAR that is memory.
  static let memoryBAR = 0
  /// The BAR with the MSI-X table.
  static let tableBAR = 2
  static let vectorCount = 3
  /// Where in the memory a doorbell is.
  static let doorbell: UInt64 = 0x100

  let held = Mutex(Held())
  let doorbell: EventFD
  private let answers: [VfioUserCommand: Answer]
  private let usesTwin: Bool
  private let refusesEnds: Bool
  private let sizes: [UInt64]
  private let messageCount: UInt32
  private let maps: (file: KeptFile, answer: [UInt8])?
  private let configuration: [UInt8]
  private let stop: EventFD
  private let thread = Mutex<HostOS.Thread?>(nil)
  // What goes out on the side of the thread.
  private let outbox = Mutex<[[UInt8]]>([])
  private let wake: EventFD

  /// Listens at `path`.
  init(
    at path: String,
    _ answers: [VfioUserCommand: Answer] = [:],
    usesTwin: Bool = false,
    refusesEnds: Bool = false,
    sizes: [UInt64] = [0x1000, 0, 0x4000, 0, 0, 0],
    maps: (file: KeptFile, answer: [UInt8])? = nil,
    messageCount: UInt32 = 2,
    change: (inout [UInt8]) -> Void = { _ in }
  ) throws {
    self.answers = answers
    self.usesTwin = usesTwin
    self.refusesEnds = refusesEnds
    self.sizes = sizes
    self.maps = maps
    self.messageCount = messageCount
    var configuration = Self.configuration
    change(&configuration)
    self.configuration = configuration
    doorbell = try EventFD()
    stop = try EventFD()
    wake = try EventFD()
    let listener = KeptListener(try UnixListener(path: path))
    var thread: HostOS.Thread? = try HostOS.Thread("fake server") { [self] in run(listener) }
    self.thread.withLock { swap(&$0, &thread) }
  }

  /// Ends it, as if it died.
  func close() {
    stop.signal()
    let thread = thread.withLock { $0.take() }
    thread?.join()
  }

  var requests: [VfioUserRequest] { held.withLock { $0.requests } }

  /// Asks the client something, or says anything else.
  func say(_ bytes: [UInt8]) {
    outbox.withLock { $0.append(bytes) }
    wake.signal()
  }

  /// A function with a vendor capability, MSI and MSI-X (PCI 3.0, 6.1, 6.7 and 6.8).
  static var configuration: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    func put(_ place: Int, _ values: [UInt8]) {
      bytes.replaceSubrange(place..<(place + values.count), with: values)
    }
    put(0x00, [0x34, 0x12, 0x78, 0x56, 0, 0, 0x10, 0, 7, 0, 0, 0xFF])
    put(0x18, [0x0C, 0, 0, 0])
    put(0x2C, [0x01, 0x00, 0x02, 0x00])
    put(0x34, [0x40])
    put(0x3D, [1])
    put(0x40, [0x09, 0x50, 8, 1, 2, 3, 4, 5])
    put(0x50, [0x05, 0x70, 0x82, 0x01])
    put(0x70, [0x11, 0, UInt8(vectorCount - 1), 0, 2, 0, 0, 0, 2, 0x08, 0, 0])
    return bytes
  }

  private func run(_ listener: KeptListener) {
    var poller = PollList()
    while true {
      poller = PollList()
      let stopped = poller.add(stop.rawValue, for: .readable)
      _ = poller.add(listener.rawValue, for: .readable)
      poller.wait()
      if poller.isReady(stopped) { return }
      guard let socket = listener.accept() else { continue }
      held.withLock { held in
        let connections = held.connections
        held = Held()
        held.connections = connections + 1
        held.registers.replaceSubrange(0..<256, with: configuration)
      }
      serve(socket)
    }
  }

  private func serve(_ socket: consuming OwnedFileDescriptor) {
    var channel = VfioUserChannel(socket)
    var twin: VfioUserChannel?
    channel.receiver.allow(data: 1 << 20)
    while true {
      var list = PollList()
      let stopped = list.add(stop.rawValue, for: .readable)
      _ = list.add(wake.rawValue, for: .readable)
      _ = list.add(channel.rawValue, for: channel.isSending ? .writable : .readable)
      if let number = twin.borrow({ $0.rawValue }) { _ = list.add(number, for: .readable) }
      list.wait()
      if list.isReady(stopped) { return }
      wake.drain()
      do {
        let said = outbox.withLock { outbox in
          defer { outbox = [] }
          return outbox
        }
        for bytes in said {
          if twin == nil { try channel.send(bytes) } else { try twin?.send(bytes) }
        }
        try channel.flush()
        guard !channel.isSending, try receive(&channel, &twin) else {
          if channel.isSending { continue }
          return
        }
        if var other = twin.take() {
          _ = try receive(&other, &twin)
          twin = consume other
        }
      } catch {
        return
      }
    }
  }

  /// Takes one message; false if there will be no more.
  private func receive(
    _ channel: inout VfioUserChannel,
    _ twin: inout VfioUserChannel?
  ) throws -> Bool {
    switch try channel.receive() {
    case .nothing: return true
    case .end: return false
    case .packet(var packet):
      if packet.header.isReply {
        let (header, payload) = (packet.header, packet.payload)
        held.withLock { $0.replies.append((header, payload)) }
        return true
      }
      let request = try packet.request(fromServer: false, dataLimit: 1 << 20)
      held.withLock { $0.requests.append(request) }
      return try answer(request, &packet, &channel, &twin)
    }
  }

  private func answer(
    _ request: VfioUserRequest,
    _ packet: inout VfioUserPacket,
    _ channel: inout VfioUserChannel,
    _ twin: inout VfioUserChannel?
  ) throws -> Bool {
    let header = packet.header
    func message(_ payload: [UInt8]) -> [UInt8] {
      VfioUserHeader(replyTo: header, payloadCount: payload.count).bytes + payload
    }
    let answer = answers[request.command]
    switch answer {
    case .payload(let bytes): try channel.send(message(bytes))
    case .descriptors(let bytes, let count):
      let numbers = [Int32](repeating: doorbell.rawValue, count: count)
      try channel.send(message(bytes), descriptors: numbers)
    case .pipe(let bytes):
      let pair = try SocketPair()
      try channel.send(message(bytes), descriptors: [pair.near.rawValue])
    case .raw(let bytes): try channel.send(bytes)
    case .refusal(let number):
      try channel.send(VfioUserHeader(failing: header, number).bytes)
    case .silence: break
    case .end: return false
    case nil where refusesEnds && isEnds(request):
      try channel.send(VfioUserHeader(failing: header, EINVAL).bytes)
    case nil, .twice, .half:
      let reply = perform(request, &packet)
      guard header.wantsReply else { return true }
      if case .version = request, usesTwin {
        let pair = try SocketPair()
        twin = VfioUserChannel(try pair.near.duplicated())
        try channel.send(reply.message(to: header), descriptors: [pair.far.rawValue])
      } else if case .getRegionInfo(let info) = request, info.index == 0, let maps,
        info.argumentSize > UInt32(VfioUserRegionInfo.count)
      {
        try channel.send(message(maps.answer), descriptors: [maps.file.rawValue])
      } else if case .regionIOFDs(let parts) = reply, !parts.parts.isEmpty {
        try channel.send(reply.message(to: header), descriptors: [doorbell.rawValue])
      } else {
        try channel.send(reply.message(to: header))
      }
      if case .twice = answer { try channel.send(reply.message(to: header)) }
      if case .half = answer { try channel.send([1, 2, 3]) }
    }
    return true
  }

  private func isEnds(_ request: VfioUserRequest) -> Bool {
    guard case .setInterrupts(let set, true) = request else { return false }
    return set.action == .unmask
  }

  private func perform(
    _ request: VfioUserRequest,
    _ packet: inout VfioUserPacket
  ) -> VfioUserReply {
    switch request {
    case .version:
      var capabilities = VfioUserCapabilities()
      capabilities.descriptorLimit = 2
      capabilities.hasTwinSocket = usesTwin
      capabilities.twinSocket = usesTwin ? 0 : nil
      return .version(VfioUserVersion(capabilities))
    case .mapDMA(let map, _):
      held.withLock { $0.maps.append(map) }
    case .unmapDMA(let unmap):
      held.withLock { $0.maps.removeAll { $0.address == unmap.address } }
      return .unmappedDMA(unmap)
    case .getInfo:
      return .info(VfioUserDeviceInfo(flags: 3, regionCount: 9, interruptCount: 5))
    case .getRegionInfo(let info):
      let size = info.index == 7 ? 4096 : info.index < 6 ? sizes[Int(info.index)] : 0
      return .regionInfo(VfioUserRegionInfo(index: info.index, flags: 3, size: size))
    case .getRegionIOFDs(let parts):
      let isThere = parts.index == UInt32(Self.memoryBAR)
      let part = VfioUserRegionIOFDs.Part(offset: Self.doorbell, size: 2, descriptor: 0)
      return .regionIOFDs(
        VfioUserRegionIOFDs(
          argumentSize: UInt32(VfioUserRegionIOFDs.count(parts: isThere ? 1 : 0)),
          index: parts.index,
          partCount: isThere ? 1 : 0,
          parts: isThere ? [part] : []
        )
      )
    case .getInterruptInfo(let info):
      let counts: [UInt32] = [1, messageCount, UInt32(Self.vectorCount), 1, 1]
      return .interruptInfo(
        VfioUserInterruptInfo(
          flags: 1,
          index: info.index,
          interruptCount: counts[Int(info.index)]
        )
      )
    case .setInterrupts(let set, _): setInterrupts(set, &packet.descriptors)
    case .readRegion(let access):
      let start = Int(access.offset)
      let data = held.withLock { held in
        access.region == 7
          ? Array(held.registers[start..<(start + Int(access.count))])
          : Array(held.registers[(2048 + start % 1024)...].prefix(Int(access.count)))
      }
      return .region(access, data)
    case .writeRegion(let access, let data):
      let start = (access.region == 7 ? 0 : 2048) + Int(access.offset) % 1024
      held.withLock { $0.registers.replaceSubrange(start..<(start + data.count), with: data) }
      return .wroteRegion(access)
    case .feature(let feature): return .feature(answer(feature))
    case .readMigrationData(let question):
      return held.withLock { held in
        let part = Array(held.outgoing.prefix(Int(question.size)))
        held.outgoing.removeFirst(part.count)
        return .migrationData(VfioUserMigrationData(part))
      }
    case .writeMigrationData(let part): held.withLock { $0.incoming += part.data }
    default: break
    }
    return .done
  }

  private func answer(_ feature: VfioUserFeature) -> VfioUserFeature {
    guard feature.number == VfioUserFeature.migration else { return feature }
    var answer = feature
    answer.data = [1, 0, 0, 0, 0, 0, 0, 0]
    return answer
  }

  private func setInterrupts(
    _ set: VfioUserInterruptSet,
    _ descriptors: inout DescriptorBatch
  ) {
    var events: [EventFD] = []
    while let descriptor = descriptors.takeFirst() {
      events.append(EventFD(adopting: descriptor))
    }
    held.withLock { held in
      switch (set.index, set.action, set.data) {
      case (0, .trigger, .events): held.level = events.first
      case (0, .unmask, .events): held.end = events.first
      case (0, .trigger, _): held.level = nil
      case (1, .trigger, .events):
        for (index, event) in events.enumerated() { held.messages[Int(set.start) + index] = event }
      case (1, .trigger, _): held.messages = [:]
      case (2, .trigger, .events):
        for (index, event) in events.enumerated() { held.vectors[Int(set.start) + index] = event }
      case (2, .trigger, _): held.vectors = [:]
      default: break
      }
    }
  }
}

/// A listener on its way to another thread.
private final class KeptListener: Sendable {
  private let listener: UnixListener
  init(_ listener: consuming UnixListener) { self.listener = listener }
  var rawValue: Int32 { listener.rawValue }
  func accept() -> OwnedFileDescriptor? { listener.accept() }
}
