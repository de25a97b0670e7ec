/// A processor of an s390 guest, as far as floating interrupts have to do with it.
///
/// It is a value of the thread that runs the processor.
public struct S390Processor: Sendable {
  /// The current PSW.
  public var psw = ProgramStatusWord()
  /// The control registers; 0, 6 and 14 have the subclass masks.
  public var control = InlineArray<16, UInt64>(repeating: 0)
  /// The general registers.
  public var general = InlineArray<16, UInt64>(repeating: 0)
  /// The floating-point registers.
  public var floatingPoint = InlineArray<16, UInt64>(repeating: 0)
  /// The access registers.
  public var access = InlineArray<16, UInt32>(repeating: 0)
  /// The floating-point-control register.
  public var floatingPointControl: UInt32 = 0
  /// The TOD programmable register.
  public var todProgrammable: UInt32 = 0
  /// The CPU timer.
  public var cpuTimer: UInt64 = 0
  /// The clock comparator.
  public var clockComparator: UInt64 = 0
  /// The storage at its prefix.
  public var lowcore = Lowcore()
  /// Whether it is in the stopped state, in which it takes no interrupts.
  public var isStopped = false

  /// Makes a processor whose registers and lowcore are zero.
  public init() {}

  /// What it is doing.
  public var activity: ProcessorActivity {
    if isStopped { return .stopped }
    return psw.mask & ProgramStatusWord.wait != 0 ? .idle : .running
  }

  /// What it is open for.
  public var window: InterruptWindow {
    InterruptWindow(psw: psw, cr0: control[0], cr6: control[6], cr14: control[14])
  }

  /// Whether its masks let it take interrupts of `interruptClass`, which is one class.
  public func canTake(_ interruptClass: FloatingInterruptClasses) -> Bool {
    let window = window
    guard window.classes.contains(interruptClass) else { return false }
    return interruptClass != .machineCheck || window.cr14 & ControlRegister14.channelReport != 0
  }
}
