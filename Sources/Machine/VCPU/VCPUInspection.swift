import KVM
import Synchronization

/// Asks a vCPU, from another thread, whether anything can still wake it.
///
/// The asker sets it and kicks the vCPU; the vCPU's thread answers between two runs.
final class VCPUInspection: Sendable {
  private enum State: UInt8 {
    case idle, asked, awake, stopped
  }

  private let state = Atomic(State.idle.rawValue)

  /// Asks; an answer to an earlier question is forgotten.
  func ask() { state.store(State.asked.rawValue, ordering: .sequentiallyConsistent) }

  /// Whether the vCPU has answered that nothing but an NMI or a start-up interrupt can wake it.
  var isStopped: Bool { state.load(ordering: .acquiring) == State.stopped.rawValue }

  /// Answers if asked; on the vCPU's thread, outside of the guest.
  func answer(for vcpu: VCPU) throws(KVMError) {
    guard state.load(ordering: .sequentiallyConsistent) == State.asked.rawValue else { return }
    let answer: State = try Self.isStopped(vcpu) ? .stopped : .awake
    state.store(answer.rawValue, ordering: .releasing)
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
