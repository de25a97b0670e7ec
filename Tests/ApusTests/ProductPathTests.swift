import Glibc
import Testing
import TestSupport

/// `apus run` as its users type it: files by relative paths, input and output, exit codes.
@Suite(.serialized, .needsDebian) struct ProductPathTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aResetEndsTheRunAndTheNextFindsWhatWasWritten() async throws {
    _ = try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))
    let boot = GuestBoot(disks: ["disk.img"], tasks: "apus.test=reboot", accelerator: "auto")

    let first = try await boot.run(folder: folder.path)
    let second = try await boot.run(folder: folder.path)

    #expect(first.code == 6, "\(first)")
    #expect(first.errors.contains("--on-reset restart"), "\(first)")
    #expect(first.reports.contains("ok reboot after boot 1"), "\(first)")
    #expect(second.code == 0, "\(second)")
    #expect(second.reports.contains("ok disk-verify 13 files"), "\(second)")
    #expect(second.reports.contains("ok rebooted 2"), "\(second)")
    #expect(Files.names(in: folder.path) == ["disk.img"], "nothing else is left")
  }

  @Test func standardInputReachesTheGuestsShell() async throws {
    let disk = try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))
    let boot = GuestBoot(disks: [disk], tasks: "apus.shell")

    let ended = try await Program.drive(try boot.arguments(), input: .pipe) { program in
      try program.expect("A shell in the guest.")
      try program.expect("# ")
      try program.type("echo $((6 * 7)) > /root/answer; cat /root/answer; uname -s\n")
      try program.expect("Linux")
      try program.type("exit\n")
      return try program.finish()
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.lines.contains("42"), "\(ended)")
  }

  @Test func aDiskThatIsInUseIsRefused() async throws {
    let disk = try await GuestBoot.copyDisk(to: folder.path(of: "disk.img"))
    let idle = try GuestBoot(disks: [disk], tasks: "apus.test=idle").arguments()
    let other = try GuestBoot(disks: [disk]).arguments()

    let (first, second) = try await Program.drive(idle) { program in
      try program.expect("ok idle")
      let second = try RunningProgram(try Given.binary(), other).finish(within: 30)
      program.signal(SIGTERM)
      return (try program.finish(within: 60), second)
    }

    #expect(first.code == 0, "\(first)")
    #expect(second.code == 2, "\(second)")
    #expect(second.complaints.count == 1, "\(second)")
    #expect(second.errors.contains(disk) && second.errors.contains("in use"), "\(second)")
  }

  @Test(
    .disabled(if: Given.hasHardwareVirtualization, "the processor has vmx or svm"),
    .needsKVM
  )
  func aSoftwareKVMIsWarnedOf() async throws {
    let ended = try await Program.run(
      ["run", try Given.multiboot(), "--accel", "kvm", "--debug-exit", "--append", "test=exit"]
    )

    #expect(ended.code == 1, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains("warning") && ended.errors.contains("vmx"), "\(ended)")
  }
}
