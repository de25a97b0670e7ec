/// What a processor is open for.
public struct InterruptWindow: Equatable, Sendable {
  /// The classes that neither the PSW nor a subclass mask holds back.
  public let classes: FloatingInterruptClasses
  /// Control register 14, whose bits are the masks of the repressible machine checks.
  public let cr14: UInt64

  /// Describes a window.
  public init(classes: FloatingInterruptClasses, cr14: UInt64) {
    self.classes = classes
    self.cr14 = cr14
  }

  /// The window of a processor with this PSW and these control registers (Principles of Operation,
  /// chapter 6, "Enabling and Disabling").
  public init(psw: ProgramStatusWord, cr0: UInt64, cr6: UInt64, cr14: UInt64) {
    var classes: FloatingInterruptClasses = []
    if psw.mask & ProgramStatusWord.machineCheck != 0 { classes.insert(.machineCheck) }
    // The interruptions of the hypervisor (2603) have the service signal's subclass mask.
    if psw.mask & ProgramStatusWord.external != 0, cr0 & ControlRegister0.serviceSignal != 0 {
      classes.formUnion(.external)
    }
    if psw.mask & ProgramStatusWord.io != 0 {
      for isc in 0..<8 where cr6 & ControlRegister6.mask(ofISC: isc) != 0 {
        classes.insert(.io(isc: isc))
      }
    }
    self.init(classes: classes, cr14: cr14)
  }
}
