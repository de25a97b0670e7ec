import DeviceModel
import HostOS
import InterruptGuest
import Interrupts
import KVM
import Platform

@testable import Machine

/// The guest in a machine's interrupt plane and run loop, with its eventfds bound as devices of other processes do.
final class MachineRig: GuestRig {
  let event: EventFD
  let resample: EventFD
  let ports: GuestPorts
  private let guest: Guest
  private let control: RunControl
  private let plane: any MachinePlane
  private let loop: InterruptEventLoop
  private let events: InterruptEvents
  private let kicker: VCPUKicker
  private let interrupts: (any ProcessorInterrupts)?
  private var thread: [Joined] = []

  private final class Joined {
    let thread: Thread
    init(_ thread: consuming Thread) { self.thread = thread }
  }

  private final class Device: BusDevice {
    let ports = GuestPorts()
    func read(_ access: BusAccess) -> UInt64 { 0 }
    func write(_ value: UInt64, _ access: BusAccess) {
      ports.write(access.region == 0 ? Guest.readyPort : Guest.handledPort)
    }
  }

  init(_ mode: InterruptMode) throws {
    try Signals.installWakeUpHandler(for: Session.kickSignal)
    (event, resample) = (try EventFD(), try EventFD())
    let system = try KVMSystem()
    guest = try Guest(system) { vm in if mode == .kernel { try vm.createIRQChip() } }
    plane = try Self.makePlane(mode, guest.vm)
    loop = try InterruptEventLoop()
    events = InterruptEvents(plane.router, on: loop)
    try events.apply(IRQFDRequest(event.rawValue, gsi: GSI(Guest.pin), flags: .level))
    try events.apply(EOIFDRequest(resample.rawValue, irqfd: event.rawValue))

    let (memory, portBus) = (Bus(.memory), Bus(.port))
    try plane.install(memory: memory, ports: portBus)
    let device = Device()
    ports = device.ports
    try portBus.add(
      device,
      "benchmark",
      at: [
        BusRange(UInt64(Guest.readyPort), size: 1), BusRange(UInt64(Guest.handledPort), size: 1),
      ]
    )
    let vcpu = try guest.vm.makeVCPU(0, kickSignal: Session.kickSignal)
    kicker = vcpu.kicker
    let interrupts = try plane.makeProcessorInterrupts(0)
    self.interrupts = interrupts
    let memoryView = BusView(of: memory)
    try interrupts?.start(vcpu, memory: memoryView)
    try Guest.start(vcpu, system)
    let control = try RunControl()
    self.control = control
    let portView = BusView(of: portBus)
    let thread = try Thread("vcpu0") {
      let loop = VCPULoop(
        vcpu: vcpu,
        memory: memoryView,
        ports: portView,
        control: control,
        inspection: VCPUInspection(),
        interrupts: interrupts
      )
      loop.run()
    }
    self.thread = [Joined(thread)]
  }

  private static func makePlane(_ mode: InterruptMode, _ vm: VM) throws -> any MachinePlane {
    switch mode {
    case .kernel: try KernelPlane(vm)
    case .split:
      try SplitPlane(vm, clock: try HostClock()) { preconditionFailure($0) }
    case .user: try UserPlane(vm, count: 1, physicalAddressBits: 40, clock: try HostClock())
    }
  }

  /// Ends the guest and all that it runs on.
  func stop() {
    control.end(.stopped)
    interrupts?.wake()
    kicker.kick()
    thread = []
    plane.disconnect()
  }

  var failure: String? { control.result.map { "\($0)" } }
}
