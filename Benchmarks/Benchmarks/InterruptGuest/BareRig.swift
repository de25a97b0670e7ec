public import HostOS
import KVM
import Synchronization

/// The guest with nothing of a monitor's between it and KVM: all chips in the kernel, and an irqfd with resample.
public final class BareRig: GuestRig {
  /// Raises the guest's interrupt.
  public let event: EventFD
  /// Signalled at its end.
  public let resample: EventFD
  /// The ports that the guest talks through.
  public let ports = GuestPorts()
  private let guest: Guest
  private let kicker: VCPUKicker
  private let state = State()
  private var thread: [Joined] = []

  private final class State: Sendable {
    let isEnding = Atomic(false)
    let failure = Mutex<String?>(nil)

    func fail(_ why: String) {
      failure.withLock { $0 = why }
      isEnding.store(true, ordering: .releasing)
    }
  }

  private final class Joined {
    let thread: Thread
    init(_ thread: consuming Thread) { self.thread = thread }
  }

  /// Starts the guest.
  public init() throws {
    try Signals.installWakeUpHandler(for: VCPUKicker.defaultSignal)
    (event, resample) = (try EventFD(), try EventFD())
    let system = try KVMSystem()
    guest = try Guest(system) { try $0.createIRQChip() }
    try guest.vm.assignIRQFD(event, gsi: Guest.pin, resample: resample)
    let vcpu = try guest.vm.makeVCPU(0)
    kicker = vcpu.kicker
    try Guest.start(vcpu, system)
    let (ports, state) = (ports, state)
    let thread = try Thread("vcpu0") {
      vcpu.attachToCurrentThread()
      while !state.isEnding.load(ordering: .acquiring) {
        do throws(KVMError) {
          switch try vcpu.run() {
          case .port(let access): ports.write(access.port)
          case .interrupted: break
          case let exit: state.fail("exit \(exit)")
          }
        } catch {
          state.fail("\(error)")
        }
      }
      vcpu.detachFromThread()
    }
    self.thread = [Joined(thread)]
  }

  /// Ends the guest.
  public func stop() {
    state.isEnding.store(true, ordering: .releasing)
    kicker.kick()
    thread = []
  }

  /// Why the guest ended, if it was not asked to.
  public var failure: String? { state.failure.withLock { $0 } }
}
