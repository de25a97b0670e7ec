import Glibc
import Testing
import TestSupport

/// Each bad input is one line that names the value and the remedy, exit code 2, and nothing is left behind.
@Suite(.needsGuests) struct BadInputTests {
  /// A command line, in which `KERNEL` and `LINUX` stand for good kernels, and what is said of it.
  struct Case: Sendable, CustomTestStringConvertible {
    let arguments: String
    let value: String
    let remedy: String

    init(_ arguments: String, _ value: String, _ remedy: String) {
      self.arguments = arguments
      self.value = value
      self.remedy = remedy
    }

    var testDescription: String { String(arguments.prefix(60)) }
  }

  static let cases = [
    Case("run missing", "missing", "check the path"),
    Case("run empty", "empty", "bzImage"),
    Case("run text", "68 65 6c 6c 6f", "bzImage"),
    Case("run folder", "folder", "image file"),
    Case("run", "<kernel>", "--help"),
    Case("run KERNEL --initrd missing", "missing", "check the path"),
    Case("run KERNEL --initrd folder", "folder", "image file"),
    Case("run KERNEL --isolate none --dma message", "--dma message", "--isolate devices"),
    Case("run KERNEL --isolate devices --dma window --save file", "--dma window", "--dma message"),
    Case(
      "run KERNEL --isolate devices --dma message --transport mmio",
      "--dma message",
      "--transport mmio"
    ),
    Case("run KERNEL --disk missing", "missing", "truncate"),
    Case("run KERNEL --disk odd", "1000 bytes", "truncate -s 1024"),
    Case("run KERNEL --disk empty", "empty", "truncate"),
    Case("run KERNEL --disk folder", "folder", "disk image"),
    Case("run KERNEL --disk disk --disk disk", "disk disk", ",readonly"),
    Case("run KERNEL --disk disk,bogus", "disk,bogus", "--help"),
    Case("run KERNEL --disk disk,cache=none", "cache=none", "writethrough"),
    Case("run KERNEL --disk disk,queues=65", "queues=65", "1 to 64"),
    Case("run KERNEL --disk disk,bps-burst=1M", "bps-burst", "--help"),
    Case("run KERNEL --disk null:1G,direct", "direct", "leave it out"),
    Case("run KERNEL --disk null:x", "null:x", "null:1G"),
    Case("run KERNEL --disk disk,id=d --disk other,id=d", "id=d", "another"),
    Case("run KERNEL --disk disk,slot=4 --disk other,slot=4", "device 4", "another"),
    Case("run KERNEL --disk disk,slot=32", "32", "1 to 31"),
    Case(
      "run KERNEL --transport mmio --disk disk,address=0x1234",
      "0x1234",
      "multiple of 0x1000"
    ),
    Case("run KERNEL --device vhost-user-fs,socket=a", "vhost-user-fs", "vhost-user-blk"),
    Case("run KERNEL --device vfio-user", "vfio-user", ",socket=PATH"),
    Case("run KERNEL --device vfio-user,socket=a,mac=1", "mac=1", "socket and slot"),
    Case("run KERNEL --device vhost-user-net,socket=a,mac=1", "mac=1", "52:54:00"),
    Case("run KERNEL --device vfio-user,socket=a,slot=x", "slot=x", "slot=5"),
    Case("run KERNEL --device mpqemu,socket=a,generation=v7", "v7", "v8"),
    Case("run KERNEL --device mpqemu", "mpqemu", "exec=COMMAND"),
    Case("run KERNEL --port agent", "agent", "agent=unix:PATH"),
    Case("run KERNEL --port agent=tcp:1", "tcp:1", "pipe:F"),
    Case("run KERNEL --balloon size=x", "size=x", "size=512M"),
    Case("run KERNEL --balloon reporting=maybe", "reporting=maybe", "on or off"),
    Case("run KERNEL --balloon bogus", "bogus", "deflate-on-oom"),
    Case(
      "run KERNEL --transport mmio --device vfio-user,socket=a",
      "--device vfio-user,socket=a",
      "--transport mmio"
    ),
    Case("run KERNEL --memory 0", "--memory 0", "at least"),
    Case("run KERNEL --memory 1000", "1000", "16M"),
    Case("run KERNEL --memory 3X", "3X", "--help"),
    Case("run KERNEL --memory 100000T", "102400000G", "give at most"),
    Case("run KERNEL --cpus 0", "0", "1 to 64"),
    Case("run KERNEL --cpus 65", "65", "1 to 64"),
    Case("run KERNEL --cpus x", "'x'", "--help"),
    Case("run KERNEL --queue-threads 65", "65", "1 to 64"),
    Case("run KERNEL --queue-polling 1001", "1001", "at most 1000"),
    Case("run KERNEL --save-interrupts folder", "folder", "name a file"),
    Case("run KERNEL --save-interrupts missing/file", "missing/file", "name a file"),
    Case("interrupts", "<file>", "--help"),
    Case("interrupts missing", "missing", "name a file"),
    Case("interrupts folder", "folder", "name a file"),
    Case("interrupts text", "text", "--save-interrupts"),
    Case("interrupts empty", "empty", "--save-interrupts"),
    Case("run KERNEL --bogus", "--bogus", "--help"),
    Case("run KERNEL more", "more", "--help"),
    Case("run KERNEL --boot never", "never", "multiboot"),
    Case("run KERNEL --transport usb", "usb", "mmio"),
    Case("run KERNEL --accel fast", "fast", "emulated"),
    Case("run KERNEL --irqchip maybe", "maybe", "split"),
    Case("run KERNEL --irqchip SPLIT", "SPLIT", "--help"),
    Case("run KERNEL --irqchip", "--irqchip", "--help"),
    Case("run KERNEL --console stdio", "--console stdio", "file:F"),
    Case("run KERNEL --serial tcp:1", "tcp:1", "--help"),
    Case("run KERNEL --serial unix:missing/socket", "missing/socket", "name a path"),
    Case("run KERNEL --serial file:missing/file", "missing/file", "name a path"),
    Case("bogus", "bogus", "--help"),
  ]

  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    _ = try folder.file("empty", [])
    _ = try folder.file("text", Array("hello, this is no kernel\n".utf8))
    _ = try folder.file("odd", [UInt8](repeating: 0, count: 1000))
    _ = try folder.file("disk", [UInt8](repeating: 0, count: 4096))
    _ = try folder.file("other", [UInt8](repeating: 0, count: 4096))
    guard mkdir(folder.path(of: "folder"), 0o700) == 0 else { throw Given.Missing(name: "mkdir") }
  }

  @Test(arguments: cases) func isOneLineWithItsRemedy(bad: Case) async throws {
    try await expectRefusal(
      bad.arguments.split(separator: " ").map(String.init),
      bad.value,
      bad.remedy
    )
  }

  @Test(.needsDebian, arguments: GuestBoot.Kernel.allCases)
  func aCommandLineThatTheKernelCannotTakeIsRefused(kernel: GuestBoot.Kernel) async throws {
    let long = String(repeating: "a", count: 2049)

    try await expectRefusal(
      ["run", try Given.path(kernel.rawValue), "--append", long],
      "2049 bytes",
      "2047"
    )
  }

  @Test(.disabled(if: Given.setpriv == nil, "setpriv (util-linux) is not installed"))
  func aFileThatMayNotBeReadIsRefused() async throws {
    let path = try folder.file("secret", [1, 2, 3])
    chmod(path, 0)
    // Root may read everything, unless it gives that up.
    let limits = "--bounding-set=-dac_override,-dac_read_search"
    let arguments = [limits, try Given.binary(), "run", path]
    let setpriv = try #require(Given.setpriv)

    let ended = try await Program.onThread { try RunningProgram(setpriv, arguments).finish() }

    #expect(ended.code == 2, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains(path) && ended.errors.contains("Permission denied"), "\(ended)")
  }

  @Test(
    .needsKVM,
    .enabled(if: Given.canMount, "no mount namespace can be made here"),
    arguments: [
      // A device that is no KVM, and none at all.
      ("mount --bind /dev/null /dev/kvm", "/dev/kvm"), ("mount -t tmpfs none /dev", "/dev/kvm"),
    ]
  )
  func aHostWithoutKVMIsNoBadInput(change: String, value: String) async throws {
    let ended = try await Program.runWithMounts(
      change,
      ["run", try Given.multiboot(), "--accel", "kvm", "--append", "test=exit"]
    )

    #expect(ended.code == 4, "\(ended)")
    let complaints = ended.complaints.filter { !$0.contains("warning: no vmx or svm") }
    #expect(complaints.count == 1, "\(ended)")
    #expect(complaints.first?.contains(value) == true, "\(ended)")
  }

  private func expectRefusal(
    _ arguments: [String],
    _ value: String,
    _ remedy: String
  ) async throws {
    let kernel = try Given.multiboot()
    let before = Files.names(in: folder.path)

    let ended = try await Program.run(
      arguments.map { $0 == "KERNEL" ? kernel : $0 },
      folder: folder.path,
      boots: false,
      within: 30
    )

    #expect(ended.code == 2, "\(ended)")
    #expect(ended.output == "", "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains(value), "\(ended)")
    #expect(ended.errors.contains(remedy), "\(ended)")
    #expect(Files.names(in: folder.path) == before, "nothing is left behind")
  }
}

extension Given {
  fileprivate static var setpriv: String? {
    access("/usr/bin/setpriv", X_OK) == 0 ? "/usr/bin/setpriv" : nil
  }
}
