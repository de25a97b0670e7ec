/// What an interruption does to a processor (Principles of Operation, chapters 6, 11 and 16).
extension S390Processor {
  private typealias Location = Lowcore.Location

  /// The codes of external interruptions.
  private enum ExternalCode {
    static var serviceSignal: UInt16 { 0x2401 }
    /// The hypervisor's; a subcode says what for.
    static var hypervisor: UInt16 { 0x2603 }
    static var pageFaultDone: UInt16 { 0x0680 }
    static var virtio: UInt16 { 0x0D00 }
  }

  /// Takes `interrupt`: stores its code, then exchanges the PSWs.
  mutating func take(_ interrupt: FloatingInterrupt) {
    switch interrupt {
    case .machineCheck(_, let code): takeMachineCheck(code)
    case .serviceSignal(let parameter):
      lowcore.store(parameter, at: Location.externalParameter)
      takeExternal(ExternalCode.serviceSignal, 0)
    case .pageFaultDone(let parameters):
      lowcore.store(parameters.parameter64, at: Location.externalParameter64)
      takeExternal(ExternalCode.hypervisor, ExternalCode.pageFaultDone)
    case .virtio(let parameters):
      lowcore.store(parameters.parameter, at: Location.externalParameter)
      lowcore.store(parameters.parameter64, at: Location.externalParameter64)
      takeExternal(ExternalCode.hypervisor, ExternalCode.virtio)
    case .io(let interrupt):
      lowcore.store(interrupt.subchannelID, at: Location.subchannelID)
      lowcore.store(interrupt.subchannelNumber, at: Location.subchannelNumber)
      lowcore.store(interrupt.parameter, at: Location.ioParameter)
      lowcore.store(interrupt.word, at: Location.ioWord)
      exchange(old: Location.ioOldPSW, new: Location.ioNewPSW)
    }
  }

  private mutating func exchange(old: Int, new: Int) {
    lowcore.store(psw, at: old)
    psw = lowcore.psw(at: new)
  }

  private mutating func takeExternal(_ code: UInt16, _ cpuAddress: UInt16) {
    lowcore.store(cpuAddress, at: Location.externalCPUAddress)
    lowcore.store(code, at: Location.externalCode)
    exchange(old: Location.externalOldPSW, new: Location.externalNewPSW)
  }

  /// Chapter 11, "Machine-Check Interruption": besides the code, the registers are stored.
  private mutating func takeMachineCheck(_ code: UInt64) {
    // Validity of vector registers (bit 25) and guarded storage (bit 36): this processor has none.
    let absent: UInt64 = 1 << (63 - 25) | 1 << (63 - 36)
    lowcore.store(code & ~absent, at: Location.machineCheckCode)
    lowcore.store(1 as UInt8, at: Location.architecturalMode)
    // A channel report has neither damage code nor failing storage nor logout.
    lowcore.store(0 as UInt32, at: Location.externalDamageCode)
    lowcore.store(0 as UInt64, at: Location.failingStorageAddress)
    lowcore.store(ProgramStatusWord(), at: Location.fixedLogout)
    for index in 0..<16 {
      lowcore.store(floatingPoint[index], at: Location.floatingPointSaveArea + 8 * index)
      lowcore.store(general[index], at: Location.generalSaveArea + 8 * index)
      lowcore.store(access[index], at: Location.accessSaveArea + 4 * index)
      lowcore.store(control[index], at: Location.controlSaveArea + 8 * index)
    }
    lowcore.store(floatingPointControl, at: Location.floatingPointControlSaveArea)
    lowcore.store(todProgrammable, at: Location.todProgrammableSaveArea)
    lowcore.store(cpuTimer, at: Location.cpuTimerSaveArea)
    lowcore.store(clockComparator >> 8, at: Location.clockComparatorSaveArea)
    exchange(old: Location.machineCheckOldPSW, new: Location.machineCheckNewPSW)
  }
}
