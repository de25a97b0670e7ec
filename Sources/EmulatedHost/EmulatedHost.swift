import Glibc
import HostOS

/// A small Linux host with exact KVM, made by QEMU on a machine that has none (design, section 7).
///
/// QEMU emulates an AMD processor with SVM and boots Debian's kernel; the agent in it runs the same
/// program as the user's with the user's arguments, files, terminal and exit code. One call of
/// ``run(_:)`` is one host; it is made to be called on the main thread, whose end takes QEMU along.
public struct EmulatedHost {
  /// What to boot.
  public let image: EmulatedHostImage
  /// Guest RAM that the command inside needs, in bytes.
  public let memory: UInt64
  /// What the command inside reaches by ``channelPort(_:)``.
  public let channels: [Channel]

  /// A way of the user's to the command inside.
  public enum Channel: Equatable, Sendable {
    /// A unix socket to listen on.
    case socket(String)
    /// A pair of named pipes, with `.in` and `.out` after this path.
    case pipe(String)
  }

  /// The device that stands for a channel inside the emulated host.
  public static func channelPort(_ index: Int) -> String {
    "/dev/virtio-ports/apus.channel\(index)"
  }

  /// What the user's signals are to the command inside.
  static var passedSignals: [Int32] { [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] }

  /// Describes an emulated host.
  public init(image: EmulatedHostImage, memory: UInt64, channels: [Channel] = []) {
    self.image = image
    self.memory = memory
    self.channels = channels
  }

  /// Boots the host, runs the command in it, and relays everything until it ends.
  ///
  /// SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 are passed on to the command.
  ///
  /// - Parameter request: What to run.
  /// - Returns: The command's exit code.
  /// - Throws: ``EmulatedHostError`` or `SystemError`.
  public func run(_ request: AgentRequest) throws -> Int32 {
    let qemu = try Self.find("qemu-system-x86_64")
    let signals = try SignalQueue(Self.passedSignals)
    let standard = try SocketPair()
    let errors = try SocketPair()
    let control = try SocketPair()
    let console = try SocketPair()
    let agent = try Self.programPath()
    // The sockets are QEMU's; nothing is left of them, however QEMU ends.
    defer { for case .socket(let path) in channels { _ = unsafe unlink(path) } }
    let child = try ChildProcess(
      qemu,
      arguments(agent: agent, folders: request.folders),
      environment: ["PATH=/usr/bin:/bin", "TMPDIR=/tmp"],
      descriptors: [
        try Self.nullDevice(), console.far.rawValue, console.far.rawValue, standard.far.rawValue,
        errors.far.rawValue, control.far.rawValue, console.far.rawValue,
      ]
    )
    // A terminal that takes nothing must not keep us from a signal.
    let output = try FileIO.reopenToWrite(STDOUT_FILENO) ?? Self.duplicate(STDOUT_FILENO)
    let messages = try FileIO.reopenToWrite(STDERR_FILENO) ?? Self.duplicate(STDERR_FILENO)
    var session = Session(
      child: child.pollable,
      signals: signals,
      standard: standard.near.rawValue,
      errors: errors.near.rawValue,
      output: output.rawValue,
      messages: messages.rawValue,
      control: control.near.rawValue,
      console: console.near.rawValue
    )
    for number in [
      standard.near.rawValue, errors.near.rawValue, control.near.rawValue, console.near.rawValue,
    ] {
      try FileIO.setNonBlocking(number)
    }
    try FileIO.writeAll(control.near.rawValue, request.encoded)
    return try session.run()
  }

  private func arguments(agent: String, folders: [AgentRequest.Folder]) -> [String] {
    // The host's own needs, and its bookkeeping of one struct page in 64 bytes of memory each.
    let megabytes = (memory >> 20) + (memory >> 26) + 320
    var list = [
      "qemu-system-x86_64", "-machine", "q35,usb=off", "-accel", "tcg", "-cpu", "EPYC,+svm",
      "-smp", "1", "-m", "\(megabytes)M", "-nodefaults", "-no-user-config", "-display", "none",
      "-no-reboot", "-kernel", image.kernel, "-initrd", image.initialFileSystem,
      "-append", kernelCommandLine(agent: agent),
      "-chardev", "socket,id=console,fd=6", "-serial", "chardev:console",
      "-virtfs", Self.share("/", tag: "host", isWritable: false) + ",multidevs=remap",
      "-device", "virtio-serial-pci",
    ]
    for (name, descriptor) in [("stdio", 3), ("stderr", 4), ("control", 5)] {
      list += [
        "-chardev", "socket,id=\(name),fd=\(descriptor)",
        "-device", "virtserialport,chardev=\(name),name=apus.\(name)",
      ]
    }
    for (index, channel) in channels.enumerated() {
      let backend =
        switch channel {
        case .socket(let path): "socket,path=\(Self.escaped(path)),server=on,wait=off"
        case .pipe(let path): "pipe,path=\(Self.escaped(path))"
        }
      list += [
        "-chardev", "\(backend),id=channel\(index)",
        "-device", "virtserialport,chardev=channel\(index),name=apus.channel\(index)",
      ]
    }
    for (index, folder) in folders.enumerated() {
      let tag = AgentRequest.Folder.tag(index)
      list += ["-virtfs", Self.share(folder.path, tag: tag, isWritable: folder.isWritable)]
    }
    return list
  }

  private func kernelCommandLine(agent: String) -> String {
    // The kernel ends when ten ticks of an emulated timer come late, as on a busy machine; it need not look.
    var line = image.commandLine + " no_timer_check"
    // The clock's frequency spares the kernel a calibration that an emulated clock can make fail.
    if let frequency = Self.processorKilohertz() { line += " tsc_early_khz=\(frequency)" }
    return line + " apus.agent=" + Self.percentEncoded(agent)
  }

  private static func share(_ path: String, tag: String, isWritable: Bool) -> String {
    "local,path=\(escaped(path)),mount_tag=\(tag),security_model=none"
      + (isWritable ? "" : ",readonly=on")
  }

  /// A comma in an option's value is written twice.
  static func escaped(_ value: String) -> String {
    value.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
  }

  /// The kernel splits its command line at spaces, so they travel as `%20`.
  static func percentEncoded(_ path: String) -> String {
    let plain = Array("/._-+~".utf8)
    return path.utf8.reduce(into: "") { text, byte in
      let isPlain =
        plain.contains(byte) || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
        || (0x61...0x7A).contains(byte)
      let digits = String(byte, radix: 16)
      text += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + digits
    }
  }

  private static func processorKilohertz() -> Int? {
    guard let text = try? readText("/proc/cpuinfo", atMost: 1 << 16) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("cpu MHz") {
      guard let value = line.split(separator: ":").last?.split(separator: " ").first,
        let megahertz = Double(value)
      else { return nil }
      return Int(megahertz * 1000)
    }
    return nil
  }

  static func readText(_ path: String, atMost limit: Int) throws(SystemError) -> String {
    let file = try OwnedFileDescriptor(opening: path, O_RDONLY)
    return String(decoding: try FileIO.read(file.rawValue, atMost: limit) ?? [], as: UTF8.self)
  }

  private static func find(_ program: String) throws(EmulatedHostError) -> String {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    for folder in path.split(separator: ":") {
      let candidate = "\(folder)/\(program)"
      if unsafe access(candidate, X_OK) == 0 { return candidate }
    }
    throw .noQEMU(name: program)
  }

  private static func programPath() throws(SystemError) -> String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let size = try retrying("readlink", "/proc/self/exe") {
      // SAFETY: the call writes at most `count` bytes into the buffer.
      unsafe buffer.withUnsafeMutableBytes {
        unsafe readlink("/proc/self/exe", $0.baseAddress.unsafelyUnwrapped, $0.count)
      }
    }
    return String(decoding: buffer.prefix(size), as: UTF8.self)
  }

  private static func duplicate(_ number: Int32) throws(SystemError) -> OwnedFileDescriptor {
    try OwnedFileDescriptor(duplicating: number)
  }

  private static func nullDevice() throws(SystemError) -> Int32 {
    // Open for the life of the process: it is one descriptor, and the child needs its number.
    try OwnedFileDescriptor(opening: "/dev/null", O_RDWR).release()
  }
}
