import DeviceModel
import GuestMemory
import HostOS
import Interrupts
import KVM
import Platform
import Synchronization

/// All interrupt controllers here; the kernel only injects what a vCPU's thread hands it.
final class UserPlane: MachinePlane, OwnChips {
  let router: InterruptRouter
  let ioAPIC: IOAPIC
  let pic: PICPair
  let apics: LocalAPICs
  let timer: IntervalTimer
  private let vm: VM
  private let clock: any DeviceClock
  private let loop: InterruptEventLoop
  /// The GSIs of messages: those above the pins.
  private let numbers = Numbers()

  /// IA32_APIC_BASE and IA32_TSC_DEADLINE (SDM volume 4, 2.1), whose effects are on our local APICs.
  private static var registers: [UInt32] { [0x1B, 0x6E0] }

  /// Makes the controllers of `count` processors.
  ///
  /// - Throws: ``KVMError``, for one if this kernel cannot leave MSRs to us.
  init(
    _ vm: VM,
    count: Int,
    physicalAddressBits: Int,
    clock: any DeviceClock
  ) throws {
    self.vm = vm
    self.clock = clock
    try vm.handleMSRs(Self.registers)
    loop = try InterruptEventLoop()
    var options = LocalAPICOptions()
    options.physicalAddressWidth = min(max(physicalAddressBits, 36), 52)
    apics = LocalAPICs(count: count, clock: clock, options: options)
    router = InterruptRouter(messages: apics)
    ioAPIC = IOAPIC(id: 0, levels: router.ioAPICLevels, messages: apics, acknowledgement: router)
    pic = PICPair(levels: router.picLevels, acknowledgement: router)
    timer = IntervalTimer(line: try router.makeSource(of: GSI(0)), clock: clock)
    router.connect(ioAPIC: ioAPIC, pic: pic)
    try router.setRoutes(.pc)
    apics.connect(endOfInterrupt: ioAPIC, external: pic)
    pic.whenOutputChanges { [unowned apics, unowned pic] _ in
      apics.setExternalRequest(pic.isRequesting)
    }
  }

  deinit { disconnect() }

  private final class Numbers: Sendable {
    private let state = Mutex<(free: [UInt32], next: UInt32)>(([], UInt32(IOAPIC.pinCount)))

    /// The lowest number that nobody has.
    func take() -> UInt32? {
      state.withLock { state in
        if let gsi = state.free.popLast() { return gsi }
        guard state.next < RoutingTable.gsiCount else { return nil }
        defer { state.next += 1 }
        return state.next
      }
    }

    func giveBack(_ gsi: UInt32) { state.withLock { $0.free.append(gsi) } }
  }

  func install(memory: Bus, ports: Bus) throws {
    try memory.add(ioAPIC, "I/O APIC", at: MemoryMap.ioAPIC.lowerBound.rawValue, IOAPIC.size)
    try ports.addControllers(pic, timer)
  }

  func setRoutes(_ table: RoutingTable) throws {
    // The numbers above are messages', which have routes of their own.
    try router.setRoutes(table, below: UInt32(IOAPIC.pinCount))
  }

  func disconnect() {
    router.disconnect()
    apics.disconnect()
  }

  func makeProcessorInterrupts(_ index: Int) throws -> (any ProcessorInterrupts)? {
    try UserProcessor(apics[index], clock: clock, isBoot: index == 0)
  }

  func makeMessageInterrupt() throws -> any MessageInterrupt {
    let numbers = numbers
    guard let gsi = numbers.take() else {
      throw MachineError.tooManyDevices(
        kind: "message-signalled interrupt",
        limit: Int(RoutingTable.gsiCount) - IOAPIC.pinCount
      )
    }
    do {
      return try PolledMessage(GSI(gsi), router, on: loop) { numbers.giveBack(gsi) }
    } catch {
      numbers.giveBack(gsi)
      throw error
    }
  }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws { try vm.attach(doorbell, to: event) }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try vm.detach(doorbell, from: event)
  }

  func counters(of pin: ControllerPin) -> InterruptCounters {
    InterruptCounters(of: pin, ioAPIC, pic)
  }

  var chipReport: [String] {
    ioAPIC.report + pic.report
      + (0..<apics.count).flatMap { ControllerReport.localAPIC($0, apics[$0].state) }
  }
}
