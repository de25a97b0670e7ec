import Glibc
import HostOS
import Testing
import TestSupport

/// Bytes and descriptors over a socket.
@Suite struct SocketIOTests {
  @Test func bytesComeAsTheyWereSent() throws {
    let pair = try SocketPair()
    var buffer = [UInt8](repeating: 0, count: 8)
    var batch = DescriptorBatch()

    #expect(
      try SocketIO.receive(pair.far.rawValue, into: &buffer, from: 0, count: 8, &batch) == .nothing
    )
    #expect(try SocketIO.send(pair.near.rawValue, [1, 2, 3]) == 3)
    #expect(
      try SocketIO.receive(pair.far.rawValue, into: &buffer, from: 2, count: 6, &batch) == .bytes(3)
    )
    #expect(buffer == [0, 0, 1, 2, 3, 0, 0, 0])
    #expect(shutdown(pair.near.rawValue, Int32(SHUT_WR)) == 0)
    #expect(
      try SocketIO.receive(pair.far.rawValue, into: &buffer, from: 0, count: 8, &batch) == .end
    )
  }

  @Test func descriptorsComeInTheirOrderAndCloseOnExec() throws {
    let pair = try SocketPair()
    let events = try (0..<3).map { _ in try EventFD() }
    var buffer = [UInt8](repeating: 0, count: 8)
    var batch = DescriptorBatch()

    _ = try SocketIO.send(pair.near.rawValue, [9], descriptors: events.map(\.rawValue))
    _ = try SocketIO.receive(pair.far.rawValue, into: &buffer, from: 0, count: 8, &batch)

    #expect(batch.count == 3)
    for (index, event) in events.enumerated() {
      guard let descriptor = batch.takeFirst() else {
        Issue.record("descriptor \(index) is missing")
        return
      }
      let taken = EventFD(adopting: descriptor)
      #expect(fcntl(taken.rawValue, F_GETFD) == FD_CLOEXEC)
      for _ in 0...index { taken.signal() }
      #expect(event.drain() == UInt64(index + 1))
    }
    #expect(batch.count == 0)
  }

  @Test func moreDescriptorsThanThereIsRoomForAreClosed() throws {
    let pair = try SocketPair()
    let event = try EventFD()
    let pipe = try SocketPair()
    var numbers = [Int32](repeating: event.rawValue, count: 40)
    numbers[39] = pipe.far.rawValue
    var buffer = [UInt8](repeating: 0, count: 8)
    var batch = DescriptorBatch()
    _ = try SocketIO.send(pair.near.rawValue, [9], descriptors: numbers)

    let received = try SocketIO.receive(
      pair.far.rawValue,
      into: &buffer,
      from: 0,
      count: 8,
      &batch
    )

    #expect(received == .tooManyDescriptors)
    #expect(batch.count == 32)
  }

  @Test func kindsAreTold() throws {
    let pair = try SocketPair()
    let event = try EventFD()
    let file = try MemoryFile(count: 12345)
    let folder = try OwnedFileDescriptor(opening: "/", O_RDONLY)
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDONLY)

    #expect(try DescriptorKind(of: pair.near.rawValue) == .streamSocket)
    #expect(try DescriptorKind(of: event.rawValue) == .anonymous)
    #expect(try DescriptorKind(of: folder.rawValue) == .other("a directory"))
    #expect(try DescriptorKind(of: null.rawValue) == .other("a character device"))
    guard case .file(let count, _) = try DescriptorKind(of: file.descriptor.rawValue) else {
      Issue.record("a memory file is no file")
      return
    }
    #expect(count == 12345)
  }

  @Test func aTickingEventSignalsItself() throws {
    let event = try EventFD(tickingEvery: 100_000)
    event.wait()
    #expect(event.drain() >= 1)
    event.wait()
    #expect(event.drain() >= 1)
  }
}
