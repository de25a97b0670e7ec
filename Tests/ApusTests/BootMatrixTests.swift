import Glibc
import Machine
import Testing
import TestSupport

/// Debian's kernel through both of its entries, on one processor and four, with every way in which a
/// device is attached and interrupts.
@Suite(.serialized, .needsDebian) struct BootMatrixTests {
  enum Attachment: String, Sendable, CaseIterable {
    case msix, intx, mmio

    var options: [String] { self == .mmio ? ["--transport", "mmio"] : [] }
    var append: String { self == .intx ? "pci=nomsi " : "" }
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

  /// Controllers in KVM, and all in this process; the others boot with what is chosen when nobody says.
  struct Placement: Sendable, Equatable, CustomTestStringConvertible {
    let mode: InterruptMode
    let cpus: Int
    let attachment: Attachment

    static var all: [Placement] {
      [.kernel, .user].flatMap { mode in
        [1, 4].flatMap { cpus in
          [.msix, .intx].map { Placement(mode: mode, cpus: cpus, attachment: $0) }
        }
      }.filter { $0 != saved }
    }

    /// The one that is saved on its way.
    static let saved = Placement(mode: .user, cpus: 4, attachment: .msix)

    var testDescription: String { "\(mode), \(cpus) vCPU, \(attachment)" }
  }

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: Combination.all)
  func aGuestFindsItsDiskWholeAndAfterAResetWhatItWrote(combination: Combination) async throws {
    let boot = GuestBoot(
      kernel: combination.kernel,
      cpus: combination.cpus,
      disks: [try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))],
      tasks: combination.attachment.append + "apus.test=cpus,reboot,traffic,quiet",
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
    expectTraffic(ended, of: combination.attachment, disks: ["vda"], cpus: combination.cpus)
  }

  @Test(arguments: Placement.all)
  func interruptsComeWhereverTheControllersAre(placement: Placement) async throws {
    let ended = try await boot(of: placement).run()

    expectAll(ended, of: placement)
  }

  /// In the middle of its work, and in another process, on another host by all that it can tell.
  @Test func aGuestThatIsSavedGoesOn() async throws {
    let saved = folder.path(of: "saved")
    var boot = try await boot(of: .saved)
    boot.options += ["--save", saved]

    let first = try await Program.drive(try boot.arguments()) { program in
      try program.expect("ok cpus")
      program.signal(SIGUSR2)
      return try program.finish()
    }
    let second = try await Program.run(
      ["run", "--restore", saved, "--accel", boot.accelerator]
        + boot.disks.flatMap { ["--disk", $0] }
    )

    #expect(first.code == 0, "\(first)")
    #expect(first.errors.contains("saved the machine to \(saved): "), "\(first)")
    let whole = Ended(
      ending: second.ending,
      output: first.output + second.output,
      errors: first.errors + second.errors,
      duration: first.duration + second.duration
    )
    expectAll(whole, of: .saved)
    #expect(!first.reports.contains("ok finished"), "\(first)")
  }

  private func boot(of placement: Placement) async throws -> GuestBoot {
    GuestBoot(
      kernel: placement.cpus == 1 ? .bzImage : .pvh,
      cpus: placement.cpus,
      disks: [try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))],
      tasks: placement.attachment.append + "apus.test=cpus,disk,traffic,quiet",
      options: ["--irqchip", placement.mode.rawValue]
    )
  }

  /// It did all of its work.
  private func expectAll(_ ended: Ended, of placement: Placement) {
    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok cpus \(placement.cpus)"), "\(ended)")
    #expect(ended.reports.contains("ok disk-verify 11 files"), "\(ended)")
    #expect(ended.reports.contains("ok disk-write boot 1"), "\(ended)")
    expectTraffic(ended, of: placement.attachment, disks: ["vda"], cpus: placement.cpus)
  }

  /// Device numbers that are 8 apart have one input of the I/O APIC.
  @Test(arguments: InterruptMode.allCases)
  func threeDisksShareALine(mode: InterruptMode) async throws {
    var disks: [String] = []
    for slot in [3, 11, 19] {
      disks.append(
        try await GuestBoot.copyDisk(to: folder.path(of: "disk\(slot).img")) + ",slot=\(slot)"
      )
    }
    let boot = GuestBoot(
      cpus: 4,
      disks: disks,
      tasks: "pci=nomsi apus.disks=3 apus.test=disks,traffic,quiet",
      // 12 queues of the disks, and the entropy source's, on two threads.
      options: ["--irqchip", mode.rawValue, "--queue-threads", "2", "--queue-polling", "50"]
    )

    let ended = try await boot.run()

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for disk in ["vda", "vdb", "vdc"] {
      #expect(ended.reports.contains("ok disk-together \(disk)"), "\(ended)")
    }
    for report in ["ok disk-verify 11 files", "ok disk-write boot 1"] {
      #expect(ended.reports.count { $0 == report } == 3, "\(ended)")
    }
    expectTraffic(ended, of: .intx, disks: ["vda", "vdb", "vdc"], cpus: 4)
    #expect(ended.traffic.filter { $0.kind == "IO-APIC" && $0.line == 19 }.count == 3)
  }

  /// Each disk's own line grew by its requests, on the processor that it was moved to, and no other disk's did.
  private func expectTraffic(
    _ ended: Ended,
    of attachment: Attachment,
    disks: [String],
    cpus: Int
  ) {
    // `ok traffic vda virtio1 100 moved`: the disk, its device, the requests, and whether its line let itself be moved.
    let told = ended.reports.map { $0.split(separator: " ").map(String.init) }
      .filter { $0.count == 6 && $0.starts(with: ["ok", "traffic"]) }
    #expect(told.map { $0[2] } == disks, "\(ended)")
    for words in told {
      let (device, requests) = (words[3], Int(words[4]) ?? 0)
      let rows = ended.traffic.filter { $0.disk == words[2] }
      // Messages are one for each queue, hence for each processor.
      let own = rows.filter { row in
        row.devices.contains { attachment == .msix ? $0.hasPrefix("\(device)-req.") : $0 == device }
      }
      let kind = attachment == .msix ? "PCI-MSI" : "IO-APIC"
      #expect(!own.isEmpty && own.allSatisfy { $0.kind == kind }, "\(ended)")
      // One at a time, so each has an interrupt of its own; and a line that stays up would give thousands.
      let sum = own.reduce(0) { $0 + $1.counts.reduce(0, +) }
      #expect((requests...requests + 50).contains(sum), "\(ended)")
      // The kernel keeps the affinity of a disk's messages for itself.
      #expect(words[5] == (attachment == .msix ? "fixed" : "moved"), "\(ended)")
      guard words[5] == "moved" else { continue }
      #expect(own.count == 1 && own[0].counts.count == cpus, "\(ended)")
      #expect(own.first?.counts.last.map { $0 >= requests } == true, "\(ended)")
    }
  }
}
