import Interrupts
import Testing

/// One controller a VM, and its end.
@Suite struct FLICSlotTests {
  @Test func aVMHasOneController() throws {
    let slot = FLICSlot()
    let first = try slot.create()

    #expect(throws: FLICError.exists) { try slot.create() }
    #expect(slot.controller === first)
    // Linux answers EINVAL here, in both generations.
    #expect(FLICError.exists.errno == 22)
  }

  @Test func twoVMsHaveOneEach() throws {
    let first = try FLICSlot().create()
    let second = try FLICSlot().create()

    try first.enqueue(.serviceSignal(parameter: 8))

    #expect(second.pendingCount == 0)
  }

  @Test func destroyingItFreesItAndLetsAnotherBeMade() throws {
    let slot = FLICSlot()
    weak let old = try slot.create()
    let target = FakeTarget()
    old?.attach(target)
    try old?.enqueue(.serviceSignal(parameter: 8))

    slot.destroy()

    #expect(old == nil)
    #expect(try slot.create().pendingCount == 0)
  }

  @Test func itsProcessorsAreLetGo() throws {
    let slot = FLICSlot()
    let controller = try slot.create()
    weak let target = Self.attachOne(to: controller)
    #expect(target != nil)

    slot.destroy()
    controller.attach(FakeTarget())

    #expect(target == nil)
  }

  private static func attachOne(to controller: FloatingInterruptController) -> FakeTarget {
    let target = FakeTarget()
    controller.attach(target)
    return target
  }

  @Test func destroyingNothingIsNothing() {
    let slot = FLICSlot()

    slot.destroy()

    #expect(slot.controller == nil)
  }

  @Test(arguments: FLICGroup.allCases)
  func whoeverStillHasItIsToldThatItIsGone(group: FLICGroup) throws {
    let bench = FLICBench()
    let adapter = big(1, 4) + [3, 1, 0, 0]
    let request = big(1, 4) + [1, 1, 0, 0] + big(0, 8)
    let bytes: [UInt8] =
      switch group {
      case .enqueue: Record.service(8)
      case .adapterRegister: adapter
      case .adapterModify: request
      case .clearIOIRQ: big(0x10000, 4)
      default: [0, 0, 0, 0]
      }
    bench.slot.destroy()

    let code = bench.code { () throws(FLICError) in
      if group == .getAllIRQs {
        _ = try bench.get(1, attr: 72, room: 72)
      } else {
        try bench.set(group.rawValue, attr: UInt64(bytes.count), bytes)
      }
    }

    #expect(code == 19)
    #expect(bench.code { () throws(FLICError) in try bench.flic.hasAttribute(group: 1) } == 19)
    #expect(bench.flic.dequeue() == nil)
    #expect(throws: FLICError.destroyed) { try bench.setFirst(3) }
    #expect(throws: FLICError.destroyed) { try bench.getFirst(1) }
    #expect(throws: FLICError.destroyed) { try bench.get(11, attr: 2, room: 2) }
  }
}
