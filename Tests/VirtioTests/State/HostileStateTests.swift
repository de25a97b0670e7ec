import GuestMemory
import PCI
import TestSupport
import Testing
import Virtio

/// States that no function wrote.
@Suite(.timeLimit(.minutes(5)))
struct HostileStateTests {
  private static func running(_ memory: GuestMemory) throws -> FunctionStateRig {
    let rig = try FunctionStateRig(EchoDevice(), in: memory)
    let guest = FunctionStateDriver(rig, in: memory)
    try guest.driver.negotiate()
    _ = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    rig.transport.pause()
    return rig
  }

  @Test func aStateThatEndsTooSoonOrTooLateIsNone() throws {
    let bytes = try Self.running(GuestMemory(count: 1 << 20)).transport.savedState.bytes

    for count in 0..<bytes.count {
      #expect(throws: VirtioStateError.self) {
        try VirtioFunctionState(bytes: Array(bytes.prefix(count)))
      }
    }
    #expect(throws: VirtioStateError.trailing(count: 1)) {
      try VirtioFunctionState(bytes: bytes + [0])
    }
  }

  @Test(arguments: 0..<12)
  func aStateThatCannotBeChangesNothing(number: Int) throws {
    let memory = try GuestMemory(count: 1 << 20)
    var state = try Self.running(memory).transport.savedState
    switch number {
    case 0: state.type = .network
    case 1: state.queues.append(VirtioFunctionState.Queue(size: 4))
    case 2: state.queues = []
    case 3: state.queues[0].size = 128
    case 4: state.status.remove(.featuresOK)
    case 5: state.status.insert(VirtioStatus(rawValue: 32))
    case 6: state.wanted.insert(VirtioFeatures(bit: 50))
    case 7: state.offered.insert(VirtioFeatures(bit: 50))
    case 8: state.interruptStatus = 4
    case 9: state.msix?.entries.removeLast()
    case 10: state.configuration.words[0].mask ^= 1 << 8
    default: state.configuration.identity ^= 1
    }
    let rig = try FunctionStateRig(EchoDevice(), in: memory)
    let before = rig.transport.savedState

    #expect(throws: VirtioStateError.self) { try rig.transport.restore(state) }
    #expect(rig.transport.savedState == before)
  }

  @Test(arguments: [
    VirtqueueState(available: 0x8004, used: 0x8000), VirtqueueState(available: 3, used: 0x8002),
  ])
  func aQueueThatStandsWhereItCannotHasTheDeviceNeedAReset(place: VirtqueueState) throws {
    let memory = try GuestMemory(count: 1 << 20)
    var state = try Self.running(memory).transport.savedState
    state.queues[0].place = place
    let rig = try FunctionStateRig(EchoDevice(), in: memory)

    try rig.transport.restore(state)
    rig.transport.resume()

    #expect(rig.read(0x14, width: 1) == 15 | 64)
  }

  @Test func whateverTheBytesAreTheFunctionCanBeResetAndUsed() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let bytes = try Self.running(memory).transport.savedState.bytes
    let rig = try FunctionStateRig(EchoDevice(), in: memory)
    var random = SystemRandomNumberGenerator()
    for _ in 0..<3000 {
      var other = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        other[Int.random(in: 0..<other.count, using: &random)] = .random(
          in: 0...255,
          using: &random
        )
      }
      guard let state = try? VirtioFunctionState(bytes: other) else { continue }
      try? rig.transport.restore(state)
      rig.transport.resume()
    }

    rig.transport.resetWhole()
    let guest = FunctionStateDriver(rig, in: memory)
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    #expect(try guest.echo(5, on: queue) == 5)
  }
}
