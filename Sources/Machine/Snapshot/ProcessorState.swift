import KVM

/// The registers of a vCPU: all of its state but what ``InterruptState/Processor`` has.
struct ProcessorState: Equatable, Sendable {
  /// What CPUID answers, which stays the same for the guest's whole life.
  var cpuid: [CPUIDEntry] = []
  /// The frequency of the time-stamp counter; 0 if KVM does not say.
  var tscKHz: UInt32 = 0
  var registers = Registers()
  var special = SpecialRegisters()
  var extendedControl: [ExtendedControlRegister] = []
  /// The extended state in the processor's layout; empty where KVM has none, and then ``fpu`` is what there is.
  var extended: [UInt8] = []
  var fpu: [UInt8] = []
  var debug = DebugRegisters()
  var events = VCPUEvents()
  /// The model-specific registers that KVM tells of, without those of the interrupts.
  var msrs: [MSREntry] = []

  /// The most entries of ``cpuid`` and ``msrs``, and bytes of ``extended``.
  static var cpuidLimit: Int { 256 }
  static var msrLimit: Int { 4096 }
  static var extendedLimit: Int { 1 << 18 }
}
