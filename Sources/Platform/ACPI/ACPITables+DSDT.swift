import GuestMemory

extension ACPITables {
  /// The Differentiated System Description Table: the devices that no bus shows (ACPI 6.5, 5.2.11.1).
  static func dsdt(_ machine: ACPIConfiguration) -> [UInt8] {
    // Revision 2 makes integers 64 bits wide (5.2.11.1).
    var table = ACPITable("DSDT", revision: 2)
    table.append(softOff)
    table.append(AML.scope("_SB", pciRoot(machine), motherboard(machine)))
    if machine.hasSerialPort { table.append(AML.scope("_SB", serialPort)) }
    if machine.hasRealTimeClock { table.append(AML.scope("_SB", realTimeClock)) }
    for (index, device) in machine.virtioMMIO.enumerated() {
      table.append(AML.scope("_SB", virtio(device, index)))
    }
    return table.finished()
  }

  /// `\_S5`: what to write to SLP_TYP for soft off (7.4.2).
  private static var softOff: AML.Term {
    let type = AML.integer(UInt64(ACPIPowerManagement.softOffType))
    return AML.name("_S5", AML.package([type, type, AML.integer(0), AML.integer(0)]))
  }

  /// The root of the PCI hierarchy (PCI Firmware Specification 3.3, 4.2, 4.3, 4.5).
  private static func pciRoot(_ machine: ACPIConfiguration) -> AML.Term {
    var resources = ResourceTemplate()
      .buses(machine.busCount)
      .ports(at: 0xCF8, count: 8)
      .portWindow(0...0xCF7)
      .portWindow(0xD00...0xFFFF)
      .memoryWindow(machine.lowWindow.addresses)
    if let window = machine.highWindow { resources = resources.memoryWindow(window.addresses) }
    return AML.device(
      "PCI0",
      AML.name("_HID", AML.eisaID("PNP0A08")),
      AML.name("_CID", AML.eisaID("PNP0A03")),
      AML.name("_UID", AML.integer(0)),
      AML.name("_SEG", AML.integer(0)),
      AML.name("_BBN", AML.integer(0)),
      AML.name("_CRS", resources.term),
      AML.name("_PRT", interruptRouting),
      operatingSystemCapabilities
    )
  }

  /// `_PRT`: the global interrupt of each pin of each slot (6.2.13).
  ///
  /// The entries name interrupts, not link devices, so the system takes PCI's own level-triggered,
  /// active-low. KVM's I/O APIC takes a line's level as asserted or not and ignores the polarity.
  private static var interruptRouting: AML.Term {
    AML.package(
      (0..<32).flatMap { slot in
        (0..<4).map { pin in
          AML.package([
            AML.integer(UInt64(slot) << 16 | 0xFFFF),
            AML.integer(UInt64(pin)),
            AML.integer(0),
            AML.integer(UInt64(ACPIConfiguration.interrupt(ofSlot: slot, pin: pin))),
          ])
        }
      }
    )
  }

  /// `_OSC`: hands every native PCI Express feature but SHPC hot-plug to the system (6.2.11).
  private static var operatingSystemCapabilities: AML.Term {
    let hostBridge: [UInt8] = [
      0x33, 0xDB, 0x4D, 0x5B, 0x1F, 0xF7, 0x40, 0x1C,
      0x96, 0x57, 0x74, 0x41, 0xC0, 0x3D, 0xD7, 0x66,
    ]
    let status = AML.path("CDW1")
    let control = AML.path("CDW3")
    let granted = AML.local(0)
    return AML.method(
      "_OSC",
      arguments: 4,
      AML.createDWordField("CDW1", of: AML.argument(3), at: 0),
      AML.if(
        AML.isEqual(AML.argument(0), AML.uuid(hostBridge)),
        AML.createDWordField("CDW3", of: AML.argument(3), at: 8),
        // Hot-plug, PME, AER and the PCI Express capability (PCI Firmware 3.3, table 4-5).
        AML.and(control, AML.integer(0x1D), in: granted),
        // Table 6.12: bit 3, unknown revision; bit 4, a capability was masked.
        AML.if(
          AML.not(AML.isEqual(AML.argument(1), AML.integer(1))),
          AML.or(status, AML.integer(0x08), in: status)
        ),
        AML.if(
          AML.not(AML.isEqual(control, granted)),
          AML.or(status, AML.integer(0x10), in: status)
        ),
        AML.store(granted, in: control)
      ),
      // Bit 2: unknown UUID.
      AML.else(AML.or(status, AML.integer(0x04), in: status)),
      AML.return(AML.argument(3))
    )
  }

  /// What no device may be given: configuration space (PCI Firmware 3.3, 4.1.2) and fixed registers.
  private static func motherboard(_ machine: ACPIConfiguration) -> AML.Term {
    AML.device(
      "MBRD",
      AML.name("_HID", AML.eisaID("PNP0C02")),
      AML.name("_UID", AML.integer(0)),
      AML.name(
        "_CRS",
        ResourceTemplate()
          .memory(
            at: machine.configurationSpace.rawValue,
            count: UInt64(machine.busCount) << 20
          )
          .ports(
            at: machine.powerManagementPort,
            count: UInt8(ACPIPowerManagement.size)
          )
          .term
      )
    )
  }

  private static var serialPort: AML.Term {
    AML.device(
      "COM1",
      AML.name("_HID", AML.eisaID("PNP0501")),
      AML.name("_UID", AML.integer(1)),
      AML.name("_CRS", ResourceTemplate().ports(at: 0x3F8, count: 8).isaInterrupt(4).term)
    )
  }

  private static var realTimeClock: AML.Term {
    AML.device(
      "RTC0",
      AML.name("_HID", AML.eisaID("PNP0B00")),
      AML.name("_CRS", ResourceTemplate().ports(at: 0x70, count: 2).isaInterrupt(8).term)
    )
  }

  private static func virtio(
    _ device: ACPIConfiguration.VirtioMMIO,
    _ index: Int
  ) -> AML.Term {
    let digits = String(index, radix: 16, uppercase: true)
    let name = "V" + String(repeating: "0", count: max(3 - digits.count, 0)) + digits
    return AML.device(
      name,
      AML.name("_HID", AML.string("LNRO0005")),
      AML.name("_UID", AML.integer(UInt64(index))),
      AML.name("_CCA", AML.integer(1)),
      AML.name(
        "_CRS",
        ResourceTemplate()
          .memory(at: device.address.rawValue, count: device.count)
          // Pins that PCI uses too have its polarity: users of one pin must agree.
          .interrupt(device.interrupt, isActiveLow: device.interrupt >= 16)
          .term
      )
    )
  }
}
