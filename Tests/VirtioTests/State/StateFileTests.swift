import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A function's state in memory that another process finds.
@Suite(.timeLimit(.minutes(5)))
struct StateFileTests {
  /// Memory of a file, and a view of it as whoever has the descriptor maps it.
  private struct Shared {
    let memory: GuestMemory
    var file: VirtioStateFile {
      get throws {
        guard let descriptor = try memory.file.borrow({ try $0.duplicated() }) else {
          throw MockDriver.Failure.outOfMemory
        }
        return try VirtioStateFile(descriptor)
      }
    }

    init() throws { memory = try GuestMemory(count: VirtioStateFile.byteCount) }
  }

  @Test(arguments: RingKind.allCases)
  func anotherFunctionGoesOnWithWhatIsInTheFile(ring: RingKind) throws {
    let shared = try Shared()
    let memory = try GuestMemory(count: 1 << 20)
    let first = try FunctionStateRig(EchoDevice(), in: memory)
    let isSecond = try first.transport.keepState(in: shared.file)
    let guest = FunctionStateDriver(first, in: memory)
    try guest.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    for byte in 1...7 as ClosedRange<UInt8> { #expect(try guest.echo(byte, on: queue) == byte) }
    first.transport.leaveState()
    try guest.offer(8, on: queue)

    let second = try FunctionStateRig(EchoDevice(), in: memory)
    let goesOn = try second.transport.keepState(in: shared.file)
    guest.use(second)
    second.transport.resume()

    #expect(!isSecond && goesOn)
    _ = try guest.driver.waitForUsed(queue)
    #expect(try memory.load8(at: GuestAddress(FunctionStateDriver.answer)) == 8)
    #expect(try guest.echo(9, on: queue) == 9)
    #expect(guest.driver.transport.status == 15)
  }

  @Test(arguments: RingKind.allCases)
  func whoDiesBeforeItServesLeavesTheQueuesPlacesToTheNext(ring: RingKind) throws {
    let shared = try Shared()
    let memory = try GuestMemory(count: 1 << 20)
    let first = try FunctionStateRig(EchoDevice(), in: memory)
    try first.transport.keepState(in: shared.file)
    let guest = FunctionStateDriver(first, in: memory)
    try guest.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    for byte in 1...7 as ClosedRange<UInt8> { #expect(try guest.echo(byte, on: queue) == byte) }
    first.transport.leaveState()
    // As a machine that was saved is put back: nothing is noted as under way.
    let left = try #require(try shared.file.load())
    try shared.file.replace(with: left)

    let dead = try FunctionStateRig(EchoDevice(), in: memory)
    try dead.transport.keepState(in: shared.file)
    dead.transport.noteState()
    let second = try FunctionStateRig(EchoDevice(), in: memory)
    try second.transport.keepState(in: shared.file)
    guest.use(second)
    second.transport.resume()

    #expect(try guest.echo(8, on: queue) == 8)
    #expect(guest.driver.transport.status == 15)
  }

  @Test func aResetLeavesNothingForTheNext() throws {
    let shared = try Shared()
    let memory = try GuestMemory(count: 1 << 20)
    let first = try FunctionStateRig(EchoDevice(), in: memory)
    try first.transport.keepState(in: shared.file)
    let guest = FunctionStateDriver(first, in: memory)
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    _ = try guest.echo(1, on: queue)
    guest.driver.transport.status = 0
    first.transport.leaveState()

    let second = try FunctionStateRig(EchoDevice(), in: memory)
    try second.transport.keepState(in: shared.file)
    guest.use(second)
    second.transport.resume()
    try guest.driver.negotiate(without: .packedRing)
    let other = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()

    #expect(try guest.echo(2, on: other) == 2)
  }

  @Test func aCopyThatWasNotFinishedIsNotSeen() throws {
    let shared = try Shared()
    let memory = try GuestMemory(count: 1 << 20)
    let rig = try FunctionStateRig(EchoDevice(), in: memory)
    try rig.transport.keepState(in: shared.file)
    rig.write(1, 0x14, width: 1)
    let newest = try shared.memory.load64(at: GuestAddress(0))
    let older = GuestAddress(0x1000 + ((newest + 1) & 1) * 0x20000)

    try shared.memory.write([UInt8](repeating: 0xA5, count: 0x1000), at: older)

    #expect(try shared.file.load()?.status == .acknowledge)
  }

  @Test func whateverIsInTheFileIsRefusedOrCanBeReset() throws {
    let shared = try Shared()
    let memory = try GuestMemory(count: 1 << 20)
    let first = try FunctionStateRig(EchoDevice(), in: memory)
    try first.transport.keepState(in: shared.file)
    let guest = FunctionStateDriver(first, in: memory)
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    _ = try guest.echo(1, on: queue)
    first.transport.leaveState()
    let parts: [(UInt64, Int)] = [(0, 16), (0x1000, 200), (0x21000, 200), (0x41000, 4096)]
    let saved = try parts.map { try shared.memory.read(at: GuestAddress($0.0), count: $0.1) }
    var random = SystemRandomNumberGenerator()

    for _ in 0..<200 {
      for (part, bytes) in zip(parts, saved) {
        var bytes = bytes
        for _ in 0..<2 {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
            in: 0...255,
            using: &random
          )
        }
        try shared.memory.write(bytes, at: GuestAddress(part.0))
      }
      let rig = try FunctionStateRig(EchoDevice(), in: memory)
      guard (try? rig.transport.keepState(in: shared.file)) != nil else { continue }
      rig.transport.resume()
      rig.transport.resetWhole()
      #expect(rig.read(0x14, width: 1) == 0)
    }
  }

  @Test func aFileThatIsTooShortIsNone() throws {
    let memory = try GuestMemory(count: 1 << 20)
    #expect(throws: SharedMappingError.self) {
      _ = try memory.file.borrow { try VirtioStateFile($0) }
    }
  }
}
