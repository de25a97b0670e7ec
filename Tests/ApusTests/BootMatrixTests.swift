import Testing
import TestSupport

/// Debian's kernel through both of its entries, on one processor and four, with every way in which a
/// device is attached and interrupts.
@Suite(.serialized, .needsDebian) struct BootMatrixTests {
  enum Attachment: String, Sendable, CaseIterable {
    case msix, intx, mmio

    var options: [String] { self == .mmio ? ["--transport", "mmio"] : [] }
    var append: String { self == .intx ? "pci=nomsi " : "" }

    /// The kind that /proc/interrupts shows, and the name that the disk's interrupt has there.
    var interrupt: (kind: String, name: String) {
      self == .msix ? ("PCI-MSI", "virtio0-req.0") : ("IO-APIC", "virtio0")
    }
  }

  struct Combination: Sendable, CustomTestStringConvertible {
    let kernel: GuestBoot.Kernel
    let cpus: Int
    let attachment: Attachment

    static var all: [Combination] {
      GuestBoot.Kernel.allCases.flatMap { kernel in
        [1, 4].flatMap { cpus in
          Attachment.allCases.map { Combination(kernel: kernel, cpus: cpus, attachment: $0) }
        }
      }
    }

    var testDescription: String { "\(kernel), \(cpus) vCPU, \(attachment)" }
  }

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: Combination.all)
  func aGuestFindsItsDiskWholeAndAfterAResetWhatItWrote(combination: Combination) async throws {
    let boot = GuestBoot(
      kernel: combination.kernel,
      cpus: combination.cpus,
      disks: [try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))],
      tasks: combination.attachment.append + "apus.test=cpus,reboot,interrupts",
      options: combination.attachment.options + ["--on-reset", "restart"]
    )

    let ended = try await boot.run()

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    let expected = [
      "ok cpus \(combination.cpus)", "ok disk-verify 11 files", "ok disk-write boot 1",
      "ok reboot after boot 1", "ok cpus \(combination.cpus)", "ok disk-verify 13 files",
      "ok disk-write boot 2", "ok rebooted 2", "ok finished",
    ]
    #expect(ended.reports.filter(expected.contains) == expected, "\(ended)")
    let (kind, name) = combination.attachment.interrupt
    #expect(ended.interrupts(named: name, of: kind) > 0, "\(ended)")
  }
}

extension Ended {
  /// How many interrupts /proc/interrupts, as the guest printed it, counts on all processors.
  ///
  /// - Returns: 0 if no line has this name and kind.
  func interrupts(named name: String, of kind: String) -> Int {
    lines.reduce(0) { sum, line in
      let words = line.split(separator: " ")
      guard words.contains(where: { $0 == name || $0 == "\(name)," }),
        let kindIndex = words.firstIndex(where: { $0 == kind })
      else { return sum }
      return sum + words[1..<kindIndex].reduce(0) { $0 + (Int($1) ?? 0) }
    }
  }
}
