import DeviceModel
import GuestMemory
import Interrupts
import PCI
import Platform

/// What `--dry-run` prints: the machine as the guest will find it.
struct MachineDescription {
  let board: Board
  /// What was loaded; `nil` for a machine that is put back.
  let boot: BootState?

  var text: String {
    var lines: [String] = []
    let configuration = board.configuration
    lines.append(
      "machine: \(configuration.processorCount) vCPU, \(sizeText(board.map.size)) of RAM"
    )
    if let boot {
      lines.append("kernel: \(configuration.kernel) (\(boot.bootProtocol.rawValue))")
    }
    lines += section("memory", memory)
    lines += section("ports", ports)
    lines += section("PCI", functions)
    lines += section("interrupts", interrupts)
    return lines.joined(separator: "\n") + "\n"
  }

  private var memory: [String] {
    var ranges: [(ClosedRange<UInt64>, String)] = []
    for range in board.map.ram { ranges.append((closed(range), "RAM")) }
    for placement in boot?.placements ?? [] {
      ranges.append((closed(placement.range), "  " + placement.name))
    }
    for table in board.tables.tables where table.signature == "RSDP" {
      ranges.append((closed(MemoryMap.acpiTables), "  ACPI tables, RSDP at \(table.address)"))
    }
    ranges.append((closed(MemoryMap.pciWindow32), "PCI window, 32-bit"))
    let configuration = board.configuration
    ranges.append((closed(board.map.pciWindow64), "PCI window, 64-bit"))
    let mode = configuration.interruptMode
    ranges.append((closed(MemoryMap.ioAPIC), mode == .kernel ? "I/O APIC (KVM)" : "I/O APIC"))
    ranges.append(
      (closed(MemoryMap.localAPIC), mode == .user ? "local APICs" : "local APICs (KVM)")
    )
    ranges += board.memoryBus.mappings.map { ($0.addresses, $0.name) }
    ranges.sort {
      ($0.0.lowerBound, $1.0.upperBound) < ($1.0.lowerBound, $0.0.upperBound)
    }
    return ranges.map { row($0.0, $0.1) }
  }

  private var ports: [String] {
    // The board was built with no controllers, since they are in KVM or need it.
    let place = board.configuration.interruptMode == .kernel ? " (KVM)" : ""
    let controllers: [(ClosedRange<UInt64>, String)] = [
      (0x20...0x21, "8259s"), (0x40...0x43, "interval timer"), (0x61...0x61, "interval timer"),
      (0xA0...0xA1, "8259s"), (0x4D0...0x4D1, "8259s"),
    ]
    let rows =
      board.portBus.mappings.map { ($0.addresses, $0.name) }
      + controllers.map { ($0.0, $0.1 + place) }
    return rows.sorted { $0.0.lowerBound < $1.0.lowerBound }.map { row($0.0, $0.1, digits: 4) }
  }

  private var functions: [String] {
    board.pci.functions.flatMap { (address, function) in
      let configuration = function.configuration
      let identity = [configuration.vendorID, configuration.deviceID].map { padded(UInt64($0), 4) }
      let title = "\(address) \(identity.joined(separator: ":")) \(function.name)"
      return [title]
        + configuration.bars.map { bar in
          let start = configuration.address(of: bar)
          return "  BAR \(bar.index): " + row(start...start + (bar.size - 1), "\(bar.space)")
        } + (function.msix.map { ["  MSI-X: \($0.vectorCount) vectors"] } ?? [])
    }
  }

  private var interrupts: [String] {
    board.interrupts.sorted { $0.gsi < $1.gsi }.map { "\($0.gsi): \($0.name)" }
  }

  private func section(_ title: String, _ rows: [String]) -> [String] {
    ["\(title):"] + rows.map { "  " + $0 }
  }

  private func row(
    _ addresses: ClosedRange<UInt64>,
    _ name: String,
    digits: Int = 12
  ) -> String {
    "\(padded(addresses.lowerBound, digits))-\(padded(addresses.upperBound, digits)) \(name)"
  }

  private func padded(_ value: UInt64, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  private func closed(_ range: Range<GuestAddress>) -> ClosedRange<UInt64> {
    range.lowerBound.rawValue...(range.upperBound.rawValue - 1)
  }
}
