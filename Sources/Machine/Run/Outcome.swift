/// How a run of a machine ended.
public enum Outcome: Equatable, Sendable {
  /// The guest turned the machine off.
  case powerOff
  /// The guest reset the machine.
  case reset
  /// Every processor stopped with interrupts disabled, so nothing can wake one.
  case halted
  /// A processor met a triple fault.
  case tripleFault
  /// KVM could not run the guest's code.
  case failed(String)
  /// The guest wrote to the debug exit port; the code is the process's.
  case exit(Int32)
  /// The user ended the run.
  case stopped
  /// The machine was saved to a file of so many bytes.
  case saved(path: String, bytes: UInt64)

  /// The process's exit code; the even ones leave the odd ones to the debug exit port.
  public var exitCode: Int32 {
    switch self {
    case .powerOff, .stopped, .saved: 0
    case .reset: 6
    case .halted: 8
    case .tripleFault: 10
    case .failed: 12
    case .exit(let code): code & 0xFF
    }
  }

  /// The exit code for bad input.
  public static var badInputCode: Int32 { 2 }
  /// The exit code when the host failed.
  public static var hostFailureCode: Int32 { 4 }

  /// What to tell the user, if the exit code alone leaves a question.
  public var message: String? {
    switch self {
    case .powerOff, .stopped, .exit: nil
    case .reset: "the guest reset the machine (--on-reset restart would start it again)"
    case .halted: "the guest halted: every processor stopped with interrupts disabled"
    case .tripleFault: "the guest ended in a triple fault"
    case .failed(let reason): reason
    case .saved(let path, let bytes): "saved the machine to \(path): \(bytes) bytes"
    }
  }
}
