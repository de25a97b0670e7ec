import Glibc
import HostOS
import KVM
import Synchronization
import TestSupport
import Testing

/// Kicks arrive, whatever the vCPU is doing.
@Suite(KVMDevice.required, .serialized) struct KickTests {
  @Test func aSpinningGuestIsLeftSoonAfterAKick() throws {
    let guest = try TinyGuest(.real, GuestCode.spin)
    let kicker = guest.vcpu.kicker
    let clock = ContinuousClock()
    let kicked = SharedInstant(clock.now)

    let thread = try Thread("kicker") {
      usleep(50_000)
      kicked.value.withLock { $0 = clock.now }
      kicker.kick()
    }
    let exit = try guest.run()
    let left = clock.now
    thread.join()

    #expect(exit == .interrupted)
    // Generous, for a machine that does other things too: it is 50 us when idle.
    #expect(kicked.value.withLock { left - $0 } < .seconds(1))
  }

  @Test func aKickBeforeTheFirstRunIsNotLost() throws {
    let guest = try TinyGuest(.real, GuestCode.outAndHalt)

    guest.vcpu.kicker.kick()

    #expect(try guest.run() == .interrupted)
    #expect(try guest.vcpu.registers().rip == TinyGuest.codeAddress)
    #expect(try guest.run() == .port(.init(isWrite: true, port: 0x80, width: 1)))
  }

  @Test func aKickOfAVCPUWithoutAThreadIsNotLost() throws {
    let guest = try TinyGuest(.real, GuestCode.outAndHalt)
    guest.vcpu.detachFromThread()

    guest.vcpu.kicker.kick()
    guest.vcpu.attachToCurrentThread()

    #expect(try guest.run() == .interrupted)
  }

  @Test func aKickBetweenRunsCompletesWhatIsOpenAndIsNotLost() throws {
    let guest = try TinyGuest(.real, GuestCode.portEchoByte)
    #expect(try guest.run() == .port(.init(isWrite: false, port: 0x510, width: 1)))
    guest.vcpu.setPortItem(0, to: 0x41)

    guest.vcpu.kicker.kick()

    #expect(try guest.run() == .interrupted)
    #expect(try guest.vcpu.registers().rax & 0xFF == 0x41)
    #expect(try guest.run() == .port(.init(isWrite: true, port: 0x510, width: 1)))
  }

  @Test(arguments: [MPState.uninitialized, .halted])
  func aVCPUThatWaitsInTheKernelIsLeftAfterAKick(state: MPState) throws {
    let guest = try TinyGuest(.real, GuestCode.halt) { try $0.createIRQChip() }
    try guest.vcpu.setMPState(state)
    let kicker = guest.vcpu.kicker

    let thread = try Thread("kicker") {
      usleep(20_000)
      kicker.kick()
    }

    #expect(try guest.run() == .interrupted)
    #expect(try guest.vcpu.mpState() == state)
    thread.join()
  }

  @Test func aVCPUMayBeHandedToAThreadOfItsOwn() throws {
    try Signals.installWakeUpHandler(for: VCPUKicker.defaultSignal)
    let vm = try KVMSystem().makeVM()
    try vm.createIRQChip()
    let vcpu = try vm.makeVCPU(1)
    try vcpu.setMPState(.uninitialized)
    let kicker = vcpu.kicker
    let interruptions = SharedNumber()

    let thread = try Thread("vcpu") {
      vcpu.attachToCurrentThread()
      defer { vcpu.detachFromThread() }
      guard let exit = try? vcpu.run(), exit == .interrupted else { return }
      interruptions.value.add(1, ordering: .relaxed)
    }
    kicker.kick()
    thread.join()

    #expect(interruptions.value.load(ordering: .relaxed) == 1)
  }

  @Test func severalKicksBetweenRunsCountAsOne() throws {
    let guest = try TinyGuest(.real, GuestCode.outAndHalt)

    for _ in 0..<3 { guest.vcpu.kicker.kick() }

    #expect(try guest.run() == .interrupted)
    #expect(try guest.run() == .port(.init(isWrite: true, port: 0x80, width: 1)))
  }

  @Test func theKickerMayOutliveItsVCPU() throws {
    var guest: TinyGuest? = try TinyGuest(.real, GuestCode.halt)
    let kicker = try #require(guest?.vcpu.kicker)

    guest = nil
    kicker.kick()

    #expect(guest == nil)
  }

  /// A request whose kick is lost shows as a timeout.
  ///
  /// The guest is in the kernel's hands and out of them all the time, so that kicks meet it
  /// everywhere.
  @Test func noneOfManyRequestsIsLost() throws {
    let guest = try TinyGuest(.real, GuestCode.outForEver)
    let kicker = guest.vcpu.kicker
    let requests = SharedNumber()
    let answered = try EventFD()
    let rounds = 2000

    let thread = try Thread("requester") {
      for round in 1...rounds {
        requests.value.store(round, ordering: .releasing)
        kicker.kick()
        guard answered.wait(milliseconds: 5000) else { return }
      }
      requests.value.store(-1, ordering: .releasing)
      kicker.kick()
    }
    var seen = 0
    var last = 0
    loop: while true {
      guard try guest.run() == .interrupted else { continue }
      switch requests.value.load(ordering: .acquiring) {
      case -1: break loop
      case last: continue
      case let request:
        last = request
        seen += 1
        answered.signal()
      }
    }
    thread.join()

    #expect(seen == rounds)
  }
}
