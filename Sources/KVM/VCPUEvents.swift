/// Interrupts, exceptions and the like that are under way in a vCPU (api.rst, 4.31).
public struct VCPUEvents: Equatable, Sendable {
  /// An exception.
  public struct Exception: Equatable, Sendable {
    /// It was injected and is not yet delivered.
    public var isInjected = false
    /// It is about to be injected; told apart only with `KVM_CAP_EXCEPTION_PAYLOAD`.
    public var isPending = false
    /// The vector.
    public var vector: UInt8 = 0
    /// The error code, if the exception has one.
    public var errorCode: UInt32?
    /// CR2 or DR6 of a pending exception, if it has one.
    public var payload: UInt64?

    /// None.
    public init() {}
  }

  /// An external or software interrupt.
  public struct Interrupt: Equatable, Sendable {
    /// It was injected and is not yet delivered.
    public var isInjected = false
    /// The vector.
    public var vector: UInt8 = 0
    /// It comes from an instruction.
    public var isSoftware = false
    /// Why interrupts wait for one more instruction: 1 for `MOV SS`, 2 for `STI`.
    public var shadow: UInt8 = 0

    /// None.
    public init() {}
  }

  /// Non-maskable interrupts.
  public struct NMI: Equatable, Sendable {
    /// One was injected and is not yet delivered.
    public var isInjected = false
    /// One is waiting.
    public var isPending = false
    /// They wait until the guest executes `IRET`.
    public var isMasked = false

    /// None.
    public init() {}
  }

  /// System management interrupts.
  public struct SMI: Equatable, Sendable {
    /// The vCPU is in system management mode.
    public var isInSMM = false
    /// One is waiting.
    public var isPending = false
    /// The vCPU was handling an NMI when the mode began.
    public var isInsideNMI = false
    /// An INIT waits until the mode ends.
    public var hasLatchedINIT = false

    /// None.
    public init() {}
  }

  /// The exception under way.
  public var exception = Exception()
  /// The interrupt under way.
  public var interrupt = Interrupt()
  /// Non-maskable interrupts.
  public var nmi = NMI()
  /// System management interrupts; `nil` leaves them alone.
  public var smi: SMI?
  /// The vector of the last start-up interrupt; `nil` leaves it alone.
  public var sipiVector: UInt32?
  /// A triple fault is waiting; told only with `KVM_CAP_X86_TRIPLE_FAULT_EVENT`.
  public var hasTripleFault: Bool?
  /// Whether the kernel tells pending exceptions from injected ones, and takes payloads.
  var hasPayloads = false

  /// None.
  public init() {}
}
