import Testing
import TestSupport

/// Devices and memory as Debian's kernel finds them.
@Suite(.serialized, .needsDebian) struct DeviceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aLargeMachineHasAllThatWasAskedFor() async throws {
    let first = try await GuestBoot.copyDisk(to: folder.path(of: "first.img"))
    let second = try await GuestBoot.copyDisk(to: folder.path(of: "second.img"))
    let boot = GuestBoot(
      cpus: 4,
      memory: "4G",
      disks: ["\(first),readonly", second],
      tasks: "apus.disk=vdb apus.test=cpus,memory,devices,entropy,disk,time",
      options: ["--console", "none"]
    )

    let ended = try await boot.run()

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok cpus 4"), "\(ended)")
    #expect(ended.reports.contains { $0.hasPrefix("ok entropy from virtio_rng") }, "\(ended)")
    #expect(ended.reports.contains("ok disk-write boot 1"), "\(ended)")
    let disks = ended.lines.filter { $0.hasPrefix("virtio ") && $0.contains(" 0x0002 ") }
    #expect(disks.count == 2, "\(ended)")
    // 4 GiB less the kernel and its page tables: a part of it is above the hole.
    #expect(ended.memory > 3_900_000, "\(ended)")
    #expect(ended.lines.contains { $0.hasPrefix("100000000-") && $0.hasSuffix("System RAM") })
  }

  @Test func aReadOnlyDiskKeepsItsBytes() async throws {
    let disk = try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))
    let before = try folder.bytes(at: disk)

    let ended = try await GuestBoot(disks: ["\(disk),readonly"], tasks: "apus.test=disk").run()

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok disk-verify 11 files"), "\(ended)")
    #expect(ended.reports.contains("ok disk-readonly"), "\(ended)")
    #expect(try folder.bytes(at: disk) == before)
  }

  @Test func aGuestThatHaltsEndsTheRun() async throws {
    let ended = try await GuestBoot(cpus: 4, tasks: "apus.test=halt").run()

    #expect(ended.code == 8, "\(ended)")
  }
}

extension Ended {
  /// The guest's MemTotal in KiB; 0 if it did not say.
  fileprivate var memory: Int {
    for report in reports where report.hasPrefix("ok memory ") {
      return report.split(separator: " ").dropFirst(2).first.flatMap { Int($0) } ?? 0
    }
    return 0
  }
}
