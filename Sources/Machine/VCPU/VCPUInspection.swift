import Interrupts
import KVM
import Synchronization

/// Asks a vCPU, from another thread, what only its own thread can tell.
///
/// The asker sets it and kicks the vCPU; the vCPU's thread answers between two runs.
final class VCPUInspection: Sendable {
  private enum State: UInt8 {
    case idle, asked, awake, stopped
  }

  private let state = Atomic(State.idle.rawValue)
  private let isReportWanted = Atomic(false)
  private let report = Mutex<LocalAPIC.State?>(nil)
  private let isPauseWanted = Atomic(false)
  private let pause = Mutex<ProcessorPause?>(nil)

  /// Asks whether anything can still wake the vCPU; an answer to an earlier question is forgotten.
  func ask() { state.store(State.asked.rawValue, ordering: .sequentiallyConsistent) }

  /// Whether the vCPU has answered that nothing but an NMI or a start-up interrupt can wake it.
  var isStopped: Bool { state.load(ordering: .acquiring) == State.stopped.rawValue }

  /// Asks for the state of the vCPU's local APIC in the kernel.
  func askForLocalAPIC() {
    report.withLock { $0 = nil }
    isReportWanted.store(true, ordering: .sequentiallyConsistent)
  }

  /// The answer, once there is one.
  var localAPIC: LocalAPIC.State? { report.withLock { $0 } }

  /// Asks the vCPU's thread to wait until `pause` is over.
  func ask(toPauseFor pause: ProcessorPause) {
    self.pause.withLock { $0 = pause }
    isPauseWanted.store(true, ordering: .sequentiallyConsistent)
  }

  /// Answers if asked; on the vCPU's thread, outside of the guest.
  func answer(for vcpu: VCPU, _ interrupts: (any ProcessorInterrupts)?) throws(KVMError) {
    if isReportWanted.exchange(false, ordering: .sequentiallyConsistent) { noteLocalAPIC(of: vcpu) }
    if isPauseWanted.exchange(false, ordering: .sequentiallyConsistent) {
      pause.withLock { $0.take() }?.park()
    }
    guard state.load(ordering: .sequentiallyConsistent) == State.asked.rawValue else { return }
    let isStopped =
      if let known = interrupts?.isStopped { known } else { try Self.isStopped(vcpu) }
    let answer: State = isStopped ? .stopped : .awake
    state.store(answer.rawValue, ordering: .releasing)
  }

  /// Keeps the state of the vCPU's local APIC, if it is in the kernel; on the vCPU's thread.
  func noteLocalAPIC(of vcpu: VCPU) {
    guard let state = try? vcpu.localAPIC() else { return }
    report.withLock { $0 = LocalAPIC.State(state) }
  }

  private static func isStopped(_ vcpu: VCPU) throws(KVMError) -> Bool {
    switch try vcpu.mpState() {
    case .uninitialized, .initReceived: return true
    // RFLAGS.IF is bit 9 (SDM volume 1, 3.4.3.3).
    case .halted: return try vcpu.registers().rflags & 1 << 9 == 0
    default: return false
    }
  }
}
