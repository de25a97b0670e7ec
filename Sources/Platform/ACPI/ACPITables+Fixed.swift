import GuestMemory

extension ACPITables {
  /// The Fixed ACPI Description Table (ACPI 6.5, 5.2.9).
  static func fadt(_ machine: ACPIConfiguration, facs: UInt64, dsdt: UInt64) -> [UInt8] {
    let event = machine.powerManagementPort &+ UInt16(ACPIPowerManagement.eventBlock)
    let control = machine.powerManagementPort &+ UInt16(ACPIPowerManagement.controlBlock)
    let timer = machine.powerManagementPort &+ UInt16(ACPIPowerManagement.timerBlock)

    var table = ACPITable("FACP", revision: 6)
    table.append(UInt32(truncatingIfNeeded: facs))
    table.append(UInt32(truncatingIfNeeded: dsdt))
    table.append(UInt8(0))  // reserved
    table.append(UInt8(0))  // no preferred power profile
    table.append(UInt16(machine.systemControlInterrupt))
    table.append(UInt32(0))  // no SMI command port: always in ACPI mode
    table.appendZeros(4)  // ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT
    table.append(UInt32(event))
    table.append(UInt32(0))  // PM1b event
    table.append(UInt32(control))
    table.append(UInt32(0))  // PM1b control
    table.append(UInt32(0))  // PM2 control
    table.append(UInt32(timer))
    table.append(UInt32(0))  // GPE0
    table.append(UInt32(0))  // GPE1
    table.append(UInt8(4))  // PM1 event length
    table.append(UInt8(2))  // PM1 control length
    table.append(UInt8(0))  // PM2 control length
    table.append(UInt8(4))  // PM timer length
    table.appendZeros(4)  // GPE0 and GPE1 lengths, GPE1 base, CST_CNT
    table.append(UInt16(101))  // above 100 us: no C2
    table.append(UInt16(1001))  // above 1000 us: no C3
    table.appendZeros(4)  // FLUSH_SIZE, FLUSH_STRIDE
    table.appendZeros(2)  // DUTY_OFFSET, DUTY_WIDTH
    table.appendZeros(2)  // DAY_ALRM, MON_ALRM: the alarm has no date
    table.append(UInt8(machine.hasRealTimeClock ? 0x32 : 0))  // CENTURY
    table.append(bootArchitecture(machine))
    table.append(UInt8(0))  // reserved
    table.append(featureFlags)
    table.append(port: UInt16(ResetRegister.port), bits: 8, accessSize: 1)
    table.append(ResetRegister.resetValue)
    table.append(UInt16(0))  // ARM boot flags
    table.append(UInt8(5))  // minor version
    table.append(UInt64(0))  // X_FIRMWARE_CTRL: the 32-bit field is used
    table.append(dsdt)
    table.append(port: event, bits: 32, accessSize: 2)
    table.appendZeros(12)  // PM1b event
    table.append(port: control, bits: 16, accessSize: 2)
    table.appendZeros(12)  // PM1b control
    table.appendZeros(12)  // PM2 control
    table.append(port: timer, bits: 32, accessSize: 3)
    table.appendZeros(12)  // GPE0
    table.appendZeros(12)  // GPE1
    table.appendZeros(24)  // sleep control and status: of reduced hardware only
    table.append("APUS", count: 8)  // hypervisor vendor
    return table.finished()
  }

  /// IAPC_BOOT_ARCH (table 5.11).
  private static func bootArchitecture(_ machine: ACPIConfiguration) -> UInt16 {
    var flags: UInt16 = 1 << 2 | 1 << 4  // no VGA; no ASPM to control
    if machine.hasSerialPort { flags |= 1 << 0 }  // devices on the ISA bus
    if machine.hasKeyboardController { flags |= 1 << 1 }
    if !machine.hasRealTimeClock { flags |= 1 << 5 }
    return flags
  }

  /// The fixed feature flags (table 5.10).
  ///
  /// PWR_BUTTON is clear: the power button is a fixed one.
  private static var featureFlags: UInt32 {
    let writeBackInvalidates: UInt32 = 1 << 0
    let c1OnAllProcessors: UInt32 = 1 << 2
    let noFixedSleepButton: UInt32 = 1 << 5
    let noFixedClockWake: UInt32 = 1 << 6
    let timerHas32Bits: UInt32 = 1 << 8
    let resetRegister: UInt32 = 1 << 10
    return writeBackInvalidates | c1OnAllProcessors | noFixedSleepButton | noFixedClockWake
      | timerHas32Bits | resetRegister
  }

  /// The Firmware ACPI Control Structure, which has neither checksum nor header (5.2.10).
  static var facs: [UInt8] {
    var structure = ACPITable()
    structure.append("FACS", count: 4)
    structure.append(UInt32(64))
    // Hardware signature, waking vector, global lock, flags, 64-bit waking vector.
    structure.appendZeros(24)
    structure.append(UInt8(2))  // version
    structure.appendZeros(31)
    return structure.bytes
  }

  /// The Multiple APIC Description Table (5.2.12).
  static func madt(_ machine: ACPIConfiguration) -> [UInt8] {
    var table = ACPITable("APIC", revision: 6)
    table.append(UInt32(0xFEE0_0000))  // local APICs
    table.append(UInt32(1))  // PCAT_COMPAT: there is an 8259 too
    for (index, number) in machine.processors.enumerated() {
      // 5.2.12.12: numbers below 255 must use the old entry, others the x2APIC's.
      if number < 255 {
        precondition(index < 255, "processor \(index) has the old local APIC number \(number)")
        table.append([0, 8, UInt8(index), UInt8(number)])
        table.append(UInt32(1))  // enabled
      } else {
        table.append([9, 16, 0, 0])
        table.append(number)
        table.append(UInt32(1))  // enabled
        table.append(UInt32(index))
      }
    }
    table.append([1, 12, machine.ioAPIC, 0])
    table.append(UInt32(0xFEC0_0000))
    table.append(UInt32(0))  // first GSI
    // The timer's IRQ 0 is on pin 2, as on every PC; flags 0 are the bus's own: edge, active high.
    table.append([2, 10, 0, 0])
    table.append(UInt32(2))
    table.append(UInt16(0))
    // The SCI: level (11b in bits 2 and 3), active high (01b in bits 0 and 1).
    table.append([2, 10, 0, machine.systemControlInterrupt])
    table.append(UInt32(machine.systemControlInterrupt))
    table.append(UInt16(0x000D))
    // NMI on LINT1 of every processor.
    table.append([4, 6, 0xFF, 0, 0, 1])
    if machine.processors.contains(where: { $0 >= 255 }) {
      table.append([10, 12, 0, 0])
      table.append(UInt32.max)
      table.append([1, 0, 0, 0])
    }
    return table.finished()
  }

  /// Where PCI configuration space is mapped (PCI Firmware Specification 3.3, table 4-2).
  static func mcfg(_ machine: ACPIConfiguration) -> [UInt8] {
    var table = ACPITable("MCFG", revision: 1)
    table.appendZeros(8)
    table.append(machine.configurationSpace.rawValue)
    table.append(UInt16(0))  // segment
    table.append(UInt8(0))  // first bus
    table.append(UInt8(machine.busCount - 1))  // last bus
    table.appendZeros(4)
    return table.finished()
  }

  /// The Extended System Description Table: where the others are (5.2.8).
  static func xsdt(_ addresses: [UInt64]) -> [UInt8] {
    var table = ACPITable("XSDT", revision: 1)
    for address in addresses { table.append(address) }
    return table.finished()
  }

  /// The Root System Description Pointer, whose first 20 bytes have a checksum of their own (5.2.5.3).
  static func rsdp(xsdt: UInt64) -> [UInt8] {
    var structure = ACPITable()
    structure.append("RSD PTR ", count: 8)
    structure.append(UInt8(0))  // checksum
    structure.append("APUS", count: 6)
    structure.append(UInt8(2))  // revision
    structure.append(UInt32(0))  // no RSDT
    structure.append(UInt32(36))
    structure.append(xsdt)
    structure.append(UInt8(0))  // extended checksum
    structure.appendZeros(3)
    var bytes = structure.bytes
    bytes[8] = ACPITable.checksum(of: bytes[..<20])
    bytes[32] = ACPITable.checksum(of: bytes[...])
    return bytes
  }
}
