import DeviceModel
import GuestMemory
import HostOS
import Interrupts
import KVM
import Platform
import Synchronization

/// Local APICs in the kernel; I/O APIC, 8259s and timer chip here.
///
/// The I/O APIC's interrupts go to the kernel as messages. The kernel reports the ends of those for which it has a route
/// with level trigger at a reserved GSI, hence one route for each entry of the redirection table.
final class SplitPlane: MachinePlane, OwnChips {
  let router: InterruptRouter
  let ioAPIC: IOAPIC
  let pic: PICPair
  let timer: IntervalTimer
  private let vm: VM
  private let routes: KernelRoutes
  private let bootProcessor = BootProcessor()

  /// Enables split controllers in `vm`, which has no vCPU yet.
  ///
  /// - Parameters:
  ///   - vm: The machine.
  ///   - clock: What the timer chip runs by.
  ///   - commit: What replaces the kernel's table of routes, if that is not `vm`.
  ///   - fail: Ends the run, since the kernel has refused the routes of the guest's pins: it would not report
  ///     the ends of their interrupts, and a level line whose end is not known never interrupts again.
  /// - Throws: ``KVMError``.
  init(
    _ vm: VM,
    clock: any DeviceClock,
    commit: KernelRoutes.Commit? = nil,
    whenRoutesFail fail: @escaping @Sendable (String) -> Void
  ) throws {
    self.vm = vm
    try vm.enableSplitIRQChip(pins: Self.reservedCount)
    let routes = try KernelRoutes(
      vm,
      pins: [],
      firstMessage: Self.reservedCount,
      commit: commit
    )
    self.routes = routes
    let messages = KernelMessages(vm)
    router = InterruptRouter(messages: messages)
    ioAPIC = IOAPIC(
      id: 0,
      levels: router.ioAPICLevels,
      messages: messages,
      acknowledgement: router
    )
    pic = PICPair(levels: router.picLevels, acknowledgement: router)
    timer = IntervalTimer(line: try router.makeSource(of: GSI(0)), clock: clock)
    router.connect(ioAPIC: ioAPIC, pic: pic)
    try router.setRoutes(.pc)
    ioAPIC.whenRedirectionChanges { [routes, unowned ioAPIC] in
      do throws(KVMError) {
        try routes.setPins { Self.pins(of: ioAPIC) }
      } catch {
        fail(
          "the I/O APIC's routes: \(error); free some memory of the host's, or use --irqchip kernel"
        )
      }
    }
    pic.whenOutputChanges { [bootProcessor] _ in bootProcessor.current?.externalRequestChanged() }
  }

  deinit { disconnect() }

  /// GSIs whose ends the kernel reports.
  ///
  /// Each pin has a route, and one more for an interrupt in service whose entry the guest has changed
  /// meanwhile: without that, some kernels no longer report its end.
  private static var reservedCount: UInt32 { 2 * KernelRoutes.pinCount }

  private static func pins(of ioAPIC: IOAPIC) -> [KVMRoute] {
    (ioAPIC.messages + ioAPIC.formerMessages).enumerated().compactMap { gsi, message in
      guard let message else { return nil }
      return .msi(gsi: UInt32(gsi), address: message.address, data: message.data)
    }
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
    bootProcessor.current = nil
  }

  func makeProcessorInterrupts(_ index: Int) -> (any ProcessorInterrupts)? {
    let processor = SplitProcessor(ioAPIC: ioAPIC, pic: index == 0 ? pic : nil)
    if index == 0 { bootProcessor.current = processor }
    return processor
  }

  func makeMessageInterrupt() throws -> any MessageInterrupt { try KernelMessage(routes) }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws { try vm.attach(doorbell, to: event) }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try vm.detach(doorbell, from: event)
  }

  var kernelMessages: [(gsi: GSI, message: InterruptMessage)] { routes.messageRoutes }

  func counters(of pin: ControllerPin) -> InterruptCounters {
    InterruptCounters(of: pin, ioAPIC, pic)
  }

  var chipReport: [String] { ioAPIC.report + pic.report }

  /// The processor that the 8259s are wired to, once there is one.
  private final class BootProcessor: Sendable {
    private let processor = Mutex<SplitProcessor?>(nil)

    var current: SplitProcessor? {
      get { processor.withLock { $0 } }
      set { processor.withLock { $0 = newValue } }
    }
  }
}

extension Bus {
  /// Puts the 8259s and the timer chip at their ports.
  func addControllers(_ pic: PICPair, _ timer: IntervalTimer) throws(BusError) {
    try add(
      pic,
      "interrupt controllers",
      at: [BusRange(0x20, size: 2), BusRange(0xA0, size: 2), BusRange(0x4D0, size: 2)]
    )
    try add(timer, "interval timer", at: [BusRange(0x40, size: 4), BusRange(0x61, size: 1)])
  }
}
