import DeviceModel
import Synchronization

extension PCIConfigurationSpace {
  /// The manufacturer.
  public var vendorID: UInt16 { UInt16(truncatingIfNeeded: read(0x00, width: 2)) }
  /// The manufacturer's number for the device.
  public var deviceID: UInt16 { UInt16(truncatingIfNeeded: read(0x02, width: 2)) }
  /// Base class, sub-class, and programming interface.
  public var classCode: UInt32 { read(0x08, width: 4) >> 8 }
  /// What the guest allows the function to do.
  public var command: PCICommand {
    PCICommand(rawValue: UInt16(truncatingIfNeeded: read(Register.command, width: 2)))
  }
  /// The interrupt pin that the function uses, or `nil` if it has none (PCI 3.0, 6.2.4).
  public var interruptPin: PCIInterruptPin.Pin? {
    PCIInterruptPin.Pin(rawValue: UInt8(truncatingIfNeeded: read(Register.interruptPin, width: 1)))
  }

  /// Whether the header says that the device has functions other than 0 (PCI 3.0, 6.2.1).
  public var isMultifunction: Bool {
    get { read(Register.headerType, width: 1) & 0x80 != 0 }
    set { define(Register.headerType, width: 1, newValue ? 0x80 : 0) }
  }

  /// The address in a BAR, whether it is decoded or not.
  public func address(of bar: PCIBAR) -> UInt64 {
    state.withLock { $0.address(of: bar) }
  }

  /// Gives a BAR the address that it has now and after a reset.
  public func setAddress(_ address: UInt64, of bar: PCIBAR) {
    precondition(
      address & ~bar.addressMask == 0 && bar.canDecode(at: address),
      "BAR \(bar.index) cannot be at \(address)"
    )
    state.withLock { state in
      let word = Register.bars / 4 + bar.index
      state.values[word] = UInt32(truncatingIfNeeded: address) | bar.typeBits
      state.initial[word] = state.values[word]
      guard bar.is64Bit else { return }
      state.values[word + 1] = UInt32(truncatingIfNeeded: address >> 32)
      state.initial[word + 1] = state.values[word + 1]
    }
  }

  /// Where a BAR answers now: its address, if the command register enables its space (PCI 3.0, 6.2.2).
  package func placement(of bar: PCIBAR) -> UInt64? {
    state.withLock { state in
      let enable: PCICommand = bar.space == .port ? .portSpace : .memorySpace
      guard state.command.contains(enable) else { return nil }
      let address = state.address(of: bar)
      return bar.canDecode(at: address) ? address : nil
    }
  }

  /// Records the level of the function's interrupt request, and says whether it may drive its pin.
  ///
  /// Interrupt status shows the request even while the pin is disabled (PCI 3.0, 6.2.3); a function
  /// with MSI or MSI-X enabled must not use its pin (6.8.1.3, 6.8.2.3).
  func setInterruptStatus(_ isRequested: Bool) -> Bool {
    state.withLock { state in
      let status = state.load(Register.status, width: 2) & ~Status.interrupt
      let bit = isRequested ? Status.interrupt : 0
      state.store(status | bit, Register.status, width: 2)
      return isRequested && !state.command.contains(.interruptDisable) && !state.usesMessages
    }
  }
}

extension PCIConfigurationSpace.State {
  var command: PCICommand {
    PCICommand(
      rawValue: UInt16(
        truncatingIfNeeded: load(PCIConfigurationSpace.Register.command, width: 2)
      )
    )
  }

  var usesMessages: Bool {
    messageControl.map { load($0, width: 2) & 0x8000 != 0 } ?? false
      || msiControl.map { load($0, width: 2) & 1 != 0 } ?? false
  }

  func address(of bar: PCIBAR) -> UInt64 {
    let word = PCIConfigurationSpace.Register.bars / 4 + bar.index
    let high = bar.is64Bit ? UInt64(values[word + 1]) << 32 : 0
    return (high | UInt64(values[word])) & bar.addressMask & (bar.kind == .port ? ~0b11 : ~0b1111)
  }
}
