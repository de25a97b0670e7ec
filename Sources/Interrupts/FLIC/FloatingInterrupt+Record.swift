/// The 72-byte record of an interrupt (`struct kvm_s390_irq`).
extension FloatingInterrupt {
  /// Reads the record at `offset`, all of which is in `bytes`.
  ///
  /// - Throws: ``FLICError/invalid`` if its type is unknown or does not float.
  init(record bytes: Span<UInt8>, at offset: Int, _ order: FLICByteOrder) throws(FLICError) {
    let type = bytes.load(UInt64.self, at: offset + FLICLayout.Record.type, order)
    switch type {
    case FloatingInterruptType.ioMinimum...FloatingInterruptType.ioMaximum:
      self = .io(
        IOInterrupt(
          type: UInt32(truncatingIfNeeded: type),
          subchannelID: bytes.load(UInt16.self, at: offset + FLICLayout.IO.subchannelID, order),
          subchannelNumber: bytes.load(
            UInt16.self,
            at: offset + FLICLayout.IO.subchannelNumber,
            order
          ),
          parameter: bytes.load(UInt32.self, at: offset + FLICLayout.IO.parameter, order),
          word: bytes.load(UInt32.self, at: offset + FLICLayout.IO.word, order)
        )
      )
    case FloatingInterruptType.machineCheck:
      self = .machineCheck(
        cr14: bytes.load(UInt64.self, at: offset + FLICLayout.MachineCheck.cr14, order),
        code: bytes.load(UInt64.self, at: offset + FLICLayout.MachineCheck.code, order)
      )
    case FloatingInterruptType.serviceSignal:
      self = .serviceSignal(
        parameter: bytes.load(UInt32.self, at: offset + FLICLayout.External.parameter, order)
      )
    case FloatingInterruptType.pageFaultDone:
      self = .pageFaultDone(ExternalParameters(record: bytes, at: offset, order))
    case FloatingInterruptType.virtio:
      self = .virtio(ExternalParameters(record: bytes, at: offset, order))
    default: throw .invalid
    }
  }

  /// The type in its record.
  public var type: UInt64 {
    switch self {
    case .machineCheck: FloatingInterruptType.machineCheck
    case .serviceSignal: FloatingInterruptType.serviceSignal
    case .pageFaultDone: FloatingInterruptType.pageFaultDone
    case .virtio: FloatingInterruptType.virtio
    case .io(let interrupt): UInt64(interrupt.type)
    }
  }

  /// Writes the record to `offset`; all 72 bytes, those without a meaning as zero.
  func write(to bytes: inout MutableSpan<UInt8>, at offset: Int, _ order: FLICByteOrder) {
    for index in offset..<offset + FLICLayout.Record.size { bytes[index] = 0 }
    bytes.store(type, at: offset + FLICLayout.Record.type, order)
    switch self {
    case .machineCheck(let cr14, let code):
      bytes.store(cr14, at: offset + FLICLayout.MachineCheck.cr14, order)
      bytes.store(code, at: offset + FLICLayout.MachineCheck.code, order)
    case .serviceSignal(let parameter):
      bytes.store(parameter, at: offset + FLICLayout.External.parameter, order)
    case .pageFaultDone(let parameters), .virtio(let parameters):
      bytes.store(parameters.parameter, at: offset + FLICLayout.External.parameter, order)
      bytes.store(parameters.pad, at: offset + FLICLayout.External.pad, order)
      bytes.store(parameters.parameter64, at: offset + FLICLayout.External.parameter64, order)
    case .io(let interrupt):
      bytes.store(interrupt.subchannelID, at: offset + FLICLayout.IO.subchannelID, order)
      bytes.store(interrupt.subchannelNumber, at: offset + FLICLayout.IO.subchannelNumber, order)
      bytes.store(interrupt.parameter, at: offset + FLICLayout.IO.parameter, order)
      bytes.store(interrupt.word, at: offset + FLICLayout.IO.word, order)
    }
  }
}

extension FloatingInterrupt.ExternalParameters {
  fileprivate init(record bytes: Span<UInt8>, at offset: Int, _ order: FLICByteOrder) {
    self.init(
      bytes.load(UInt32.self, at: offset + FLICLayout.External.parameter, order),
      bytes.load(UInt64.self, at: offset + FLICLayout.External.parameter64, order),
      pad: bytes.load(UInt32.self, at: offset + FLICLayout.External.pad, order)
    )
  }
}
