import Glibc
import HostOS
import Synchronization
import TestSupport
import Testing

@testable import Machine

/// The host's end of a port, with real files and sockets.
@Suite struct StreamPortTests {
  /// A guest that takes up to `room` bytes at each offer.
  final class Guest: Sendable {
    private let room: Int
    private let state = Mutex<[UInt8]>([])

    init(room: Int = .max) { self.room = room }

    var bytes: [UInt8] { state.withLock { $0 } }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    func receive(_ offered: ArraySlice<UInt8>) -> Int {
      let taken = offered.prefix(room)
      state.withLock { $0 += taken }
      return taken.count
    }
  }

  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  static func open(_ stream: MachineConfiguration.Stream) throws -> StreamPort {
    try StreamPort(stream, onQuit: {})
  }

  /// What a guest writes to.
  static func output(of port: StreamPort) throws -> OwnedFileDescriptor {
    guard let output = try port.makeOutput() else {
      throw SystemError(call: "output", code: ENOENT)
    }
    return output
  }

  @Test func aPortThatLeadsNowhereHasNoOutput() throws {
    let port = try Self.open(.none)
    try port.start { $0.count }
    let hasOutput = try port.makeOutput() != nil
    #expect(!hasOutput)
    port.stop()
  }

  @Test func aFileIsEmptiedAndTakesTheOutput() throws {
    let path = try folder.file("log", Array("from before".utf8))
    let port = try Self.open(.file(path))
    try port.start { $0.count }

    let output = try Self.output(of: port)
    try FileIO.writeAll(output.rawValue, Array("hello\n".utf8))
    port.stop()

    #expect(try folder.bytes(at: path) == Array("hello\n".utf8))
  }

  @Test func aFileThatCannotBeMadeIsTheUsersError() {
    let error = MachineError.stream(path: "/nonexistent/log", reason: "No such file or directory")
    #expect(throws: error) { try Self.open(.file("/nonexistent/log")) }
    #expect(throws: MachineError.self) { try Self.open(.device("/nonexistent/tty")) }
  }

  @Test func aSocketThatCannotBeMadeIsTheUsersError() throws {
    let file = try folder.file("file", [1])
    #expect(throws: MachineError.stream(path: "unix:\(file)", reason: "Address already in use")) {
      try Self.open(.unix(file))
    }
    let long = "/tmp/" + String(repeating: "x", count: 103)
    #expect(throws: MachineError.self) { try Self.open(.unix(long)) }
  }

  @Test func namedPipesCarryBytesBothWays() throws {
    let path = folder.path(of: "pipe")
    for end in ["in", "out"] { #expect(mkfifo("\(path).\(end)", 0o600) == 0) }
    let guest = Guest()
    let port = try Self.open(.pipe(path))
    try port.start { guest.receive($0) }
    defer { port.stop() }

    // Those who write come and go.
    for text in ["one", "two"] {
      let writer = try OwnedFileDescriptor(opening: path + ".in", O_WRONLY | O_NONBLOCK)
      try FileIO.writeAll(writer.rawValue, Array(text.utf8))
    }
    #expect(waitUntil { guest.text == "onetwo" })
    // What was said before anybody listened is there.
    let output = try Self.output(of: port)
    try FileIO.writeAll(output.rawValue, Array("three".utf8))
    let reader = try OwnedFileDescriptor(opening: path + ".out", O_RDONLY | O_NONBLOCK)
    #expect(try FileIO.read(reader.rawValue, atMost: 64) == Array("three".utf8))
  }

  @Test func pipesThatAreNoneAreTheUsersError() throws {
    let path = folder.path(of: "pipe")
    #expect(
      throws: MachineError.stream(path: path + ".in", reason: "No such file or directory")
    ) { try Self.open(.pipe(path)) }
    _ = try folder.file("pipe.in", [1])
    let error = MachineError.stream(
      path: path + ".in",
      reason: "it is no pipe; make one with mkfifo"
    )
    #expect(throws: error) { try Self.open(.pipe(path)) }
  }

  @Test func oneWhoHasGoneKeepsNobodyOutForLong() throws {
    let path = folder.path(of: "socket")
    let port = try Self.open(.unix(path))
    let told = Mutex<[Bool]>([])
    // Nobody takes anything.
    try port.start({ _ in 0 }) { isThere in told.withLock { $0.append(isThere) } }
    defer { port.stop() }
    var first: UnixClient? = try UnixClient(path)
    try first?.send([UInt8](repeating: 1, count: 100_000))
    #expect(waitUntil { told.withLock { $0 } == [true] })
    first = nil
    #expect(first == nil)

    let second = try UnixClient(path)

    #expect(waitUntil { told.withLock { $0 } == [true, false, true] })
    #expect(second.number >= 0)
  }

  @Test func whoeverIsThereIsTold() throws {
    let path = folder.path(of: "socket")
    let port = try Self.open(.unix(path))
    let told = Mutex<[Bool]>([])
    try port.start({ $0.count }) { isThere in told.withLock { $0.append(isThere) } }
    defer { port.stop() }
    #expect(!port.isConnectedAtFirst)

    for count in [1, 2] {
      var client: UnixClient? = try UnixClient(path)
      #expect(waitUntil { told.withLock { $0.count } == 2 * count - 1 })
      #expect(client != nil)
      client = nil
      #expect(waitUntil { told.withLock { $0.count } == 2 * count })
    }
    #expect(told.withLock { $0 } == [true, false, true, false])
  }

  @Test func aClientTalksBothWays() throws {
    let path = folder.path(of: "socket")
    let guest = Guest()
    let port = try Self.open(.unix(path))
    try port.start { guest.receive($0) }
    defer { port.stop() }
    let output = try Self.output(of: port)

    let client = try UnixClient(path)
    try client.send(Array("to the guest".utf8))
    #expect(waitUntil { guest.text == "to the guest" })
    // Now that the guest has heard the client, what it says goes to the client.
    try FileIO.writeAll(output.rawValue, Array("from the guest".utf8))

    #expect(try client.receive(14) == Array("from the guest".utf8))
  }

  @Test func clientsComeOneAfterTheOther() throws {
    let path = folder.path(of: "socket")
    let guest = Guest()
    let port = try Self.open(.unix(path))
    try port.start { guest.receive($0) }
    defer { port.stop() }

    for text in ["one", "two", "three"] {
      let client = try UnixClient(path)
      try client.send(Array(text.utf8))
      #expect(waitUntil { guest.text.hasSuffix(text) })
    }

    #expect(guest.text == "onetwothree")
  }

  /// The second waits in the listener's queue until the first has gone.
  @Test func aSecondClientIsServedWhenTheFirstHasGone() throws {
    let path = folder.path(of: "socket")
    let guest = Guest()
    let port = try Self.open(.unix(path))
    try port.start { guest.receive($0) }
    defer { port.stop() }

    var first: UnixClient? = try UnixClient(path)
    try first?.send(Array("first".utf8))
    #expect(waitUntil { guest.text == "first" })
    let second = try UnixClient(path)
    try second.send(Array("second".utf8))
    #expect(!waitUntil(seconds: 0) { guest.text != "first" })
    first = nil

    #expect(first == nil)
    #expect(waitUntil { guest.text == "firstsecond" })
  }

  @Test func whatTheGuestSaysWithNobodyThereDoesNotHoldItBack() throws {
    let path = folder.path(of: "socket")
    let port = try Self.open(.unix(path))
    try port.start { $0.count }
    defer { port.stop() }
    let output = try Self.output(of: port)

    // More than a socket buffers.
    try FileIO.writeAll(output.rawValue, [UInt8](repeating: 0x2E, count: 4 << 20))

    let client = try UnixClient(path)
    try client.send([1])
    #expect(client.number >= 0)
  }

  @Test func nothingIsLostWhenTheGuestTakesAByteAtATime() throws {
    let path = folder.path(of: "socket")
    let guest = Guest(room: 1)
    let port = try Self.open(.unix(path))
    try port.start { bytes in
      let taken = guest.receive(bytes)
      // As a serial port says that there is room again.
      port.resume()
      return taken
    }
    defer { port.stop() }
    let sent = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    let client = try UnixClient(path)
    try client.send(sent)

    #expect(waitUntil { guest.bytes.count == sent.count })
    #expect(guest.bytes == sent)
  }

  /// Not every receiver says when it has room: it is asked again and again.
  @Test func aGuestThatSaysNothingIsAskedAgain() throws {
    let path = folder.path(of: "socket")
    let guest = Guest(room: 1)
    let port = try Self.open(.unix(path))
    try port.start { guest.receive($0) }
    defer { port.stop() }

    let client = try UnixClient(path)
    try client.send(Array("ab".utf8))

    #expect(waitUntil { guest.text == "ab" })
  }

  /// The client's bytes stay in the socket, not in our memory: at some point it can send no more.
  @Test func aGuestThatTakesNothingHoldsTheClientBack() throws {
    let path = folder.path(of: "socket")
    let isReady = Atomic(false)
    let guest = Guest()
    let port = try Self.open(.unix(path))
    try port.start { bytes in
      isReady.load(ordering: .acquiring) ? guest.receive(bytes) : 0
    }
    defer { port.stop() }
    let client = try UnixClient(path)
    var sent = 0
    let chunk = [UInt8](repeating: 0x55, count: 65_536)

    let isHeldBack = try waitUntil {
      let size = try FileIO.write(client.number, chunk[...])
      sent += size
      return size == 0
    }
    #expect(isHeldBack)
    #expect(sent < 8 << 20)
    isReady.store(true, ordering: .releasing)

    #expect(waitUntil { guest.bytes.count == sent })
  }

  @Test func whatAClientSentBeforeItLeftReachesASlowGuest() throws {
    let path = folder.path(of: "socket")
    let guest = Guest(room: 3)
    let port = try Self.open(.unix(path))
    try port.start { bytes in
      let taken = guest.receive(bytes)
      port.resume()
      return taken
    }
    defer { port.stop() }

    var client: UnixClient? = try UnixClient(path)
    try client?.send(Array("a command and then the end".utf8))
    client = nil

    #expect(client == nil)
    #expect(waitUntil { guest.text == "a command and then the end" })
  }

  @Test func theSocketsFileGoesWithThePort() throws {
    let path = folder.path(of: "socket")
    var port: StreamPort? = try Self.open(.unix(path))
    try port?.start { $0.count }
    #expect(access(path, F_OK) == 0)

    port?.stop()
    port = nil

    #expect(port == nil)
    #expect(access(path, F_OK) != 0)
  }

  @Test func stoppingDoesNotWaitForAClientThatStays() throws {
    let path = folder.path(of: "socket")
    let guest = Guest()
    let port = try Self.open(.unix(path))
    try port.start { guest.receive($0) }
    let client = try UnixClient(path)
    try client.send([1])
    #expect(waitUntil { guest.bytes == [1] })

    port.stop()
    port.stop()

    #expect(client.number >= 0)
  }

  /// A FIFO stands for a character device: opened twice, once for each way.
  @Test func aDeviceIsReadAndWritten() throws {
    let path = folder.path(of: "fifo")
    #expect(mkfifo(path, 0o600) == 0)
    let reader = try OwnedFileDescriptor(opening: path, O_RDONLY | O_NONBLOCK)
    let guest = Guest()
    let port = try Self.open(.device(path))
    try port.start { guest.receive($0) }
    let output = try Self.output(of: port)

    try FileIO.writeAll(output.rawValue, Array("loop".utf8))

    // Either end of the FIFO may get it.
    #expect(
      try waitUntil {
        let here = (try FileIO.read(reader.rawValue, atMost: 16)) ?? []
        return !here.isEmpty || !guest.bytes.isEmpty
      }
    )
    port.stop()
  }
}
