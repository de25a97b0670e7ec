import DeviceKit
import EmulatedHost
import Glibc
import HostOS
import Machine

extension Run {
  /// Runs this same command line inside an emulated host.
  func emulate(_ configuration: MachineConfiguration) throws -> Int32 {
    if let network = configuration.networks.first {
      throw UserError(
        message: "--net \(network.text): an emulated host is not on this host's network; "
          + "take a machine whose processor has vmx or svm"
      )
    }
    if let vsock = configuration.vsock {
      throw UserError(
        message: "\(vsock.text): an emulated host does not pass on these sockets; "
          + "take a machine whose processor has vmx or svm"
      )
    }
    if let remote = configuration.remotes.first {
      throw UserError(
        message: "\(remote.text): an emulated host does not reach this socket; "
          + "take a machine whose processor has vmx or svm"
      )
    }
    if let path = configuration.controlPath {
      throw UserError(
        message: "--control \(path): an emulated host does not pass on this socket; "
          + "take a machine whose processor has vmx or svm"
      )
    }
    let image = try EmulatedHostImage { name in
      unsafe getenv(name).map { unsafe String(cString: $0) }
    }
    let channels = try configuration.streams.compactMap(Self.channel)
    let host = EmulatedHost(image: image, memory: configuration.memory, channels: channels)
    let request = AgentRequest(
      arguments: Array(CommandLine.arguments.dropFirst()),
      workingDirectory: try WorkingFolder.path(),
      folders: try folders(configuration)
    )
    let reservation = try Self.explaining {
      try Machine.checkStreams(of: configuration)
      try Machine.checkInterruptStateFile(of: configuration)
      try Machine.checkSaveFile(of: configuration)
      // The locks of an emulated host are its own: other machines see those of this process.
      return try DiskReservation(configuration)
    }
    if accel == .auto {
      Self.note(
        "no vmx or svm in the CPU flags: running in an emulated host, which takes some seconds to "
          + "start (--accel kvm uses /dev/kvm all the same)"
      )
    }
    return try withExtendedLifetime(reservation) { try host.run(request) }
  }

  /// What an emulated host passes on of a stream; nothing of what is a file or the terminal.
  private static func channel(
    _ stream: MachineConfiguration.Stream
  ) throws -> EmulatedHost.Channel? {
    switch stream {
    case .unix(let path): .socket(try WorkingFolder.absolute(path))
    case .pipe(let path): .pipe(try WorkingFolder.absolute(path))
    case .none, .standard, .file, .device: nil
    }
  }

  /// What a command line means inside: KVM is there, and unix sockets and pipes have become ports.
  mutating func moveInside() {
    accel = .kvm
    // In the order of `channels`.
    var count = 0
    func moved(_ stream: MachineConfiguration.Stream) -> MachineConfiguration.Stream {
      switch stream {
      case .unix, .pipe:
        defer { count += 1 }
        return .device(EmulatedHost.channelPort(count))
      case .none, .standard, .file, .device: return stream
      }
    }
    serial = StreamOption(moved(serial.stream))
    console = StreamOption(moved(console.stream))
    for index in ports.indices { ports[index].port.stream = moved(ports[index].port.stream) }
  }

  /// The folders of all files that the command line names, as far as the root does not serve.
  private func folders(_ configuration: MachineConfiguration) throws -> [AgentRequest.Folder] {
    var writable: [String] = []
    var readable: [String] = []
    for disk in configuration.disks {
      if case .nbd = disk.source {
        throw UserError(
          message:
            "--disk \(disk.path): an emulated host does not reach servers of this one; use a "
            + "raw file: qemu-img convert -O raw"
        )
      }
      guard case .file = disk.source else { continue }
      guard !Self.isBlockDevice(disk.path) else {
        throw UserError(
          message: "--disk \(disk.path): an emulated host cannot use a block device; "
            + "copy it to a file"
        )
      }
      let folder = try Self.folder(of: disk.path)
      if disk.isReadOnly { readable.append(folder) } else { writable.append(folder) }
    }
    for case .file(let path) in configuration.streams {
      writable.append(try Self.folder(of: path))
    }
    if let path = configuration.interruptStatePath { writable.append(try Self.folder(of: path)) }
    if let path = configuration.savePath { writable.append(try Self.folder(of: path)) }
    if let path = configuration.restorePath { readable.append(try Self.folder(of: path)) }
    if !configuration.kernel.isEmpty { readable.append(try Self.folder(of: configuration.kernel)) }
    if let path = configuration.recordPath { writable.append(try Self.folder(of: path)) }
    for path in configuration.initialFiles {
      let file = path.split(separator: " ").first.map(String.init) ?? ""
      readable.append(try Self.folder(of: file))
    }
    // The emulated host has its own /dev and /run; all else is in its read-only root.
    let hidden = readable.filter { path in
      ["/dev", "/run", "/proc", "/sys"].contains { path == $0 || path.hasPrefix($0 + "/") }
    }
    guard !writable.contains("/") else {
      throw UserError(
        message: "a file in / itself cannot be written from an emulated host; move it to a folder"
      )
    }
    var folders: [AgentRequest.Folder] = []
    for (path, isWritable) in writable.map({ ($0, true) }) + hidden.map({ ($0, false) })
    where !folders.contains(where: { $0.path == path }) {
      folders.append(AgentRequest.Folder(path: path, isWritable: isWritable))
    }
    return folders
  }

  private static func isBlockDevice(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the result is a live local.
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK
  }

  private static func folder(of path: String) throws -> String {
    let whole = try WorkingFolder.absolute(path)
    let end = whole.lastIndex(of: "/") ?? whole.startIndex
    return end == whole.startIndex ? "/" : String(whole[..<end])
  }
}
