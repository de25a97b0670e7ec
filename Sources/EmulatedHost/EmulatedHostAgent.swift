import CLinux
import Glibc
import HostOS

/// The other side of ``EmulatedHost``: runs in the emulated host, as its only program.
///
/// Its standard descriptors become the user's, the user's folders appear at their own paths, and
/// signals that the user's side passes on are raised here.
public enum EmulatedHostAgent {
  private static var ports: String { "/dev/virtio-ports/apus." }

  /// Takes the request, runs `body` with it, and reports what it returns as the exit code.
  ///
  /// - Parameter body: Runs the command and returns its exit code; called once.
  /// - Throws: ``EmulatedHostError`` or `SystemError` if the request cannot be taken.
  public static func run(_ body: (AgentRequest) -> Int32) throws {
    let control = try OwnedFileDescriptor(opening: ports + "control", O_RDWR)
    let request = try receive(control.rawValue)
    let standard = try OwnedFileDescriptor(opening: ports + "stdio", O_RDWR)
    let errors = try OwnedFileDescriptor(opening: ports + "stderr", O_RDWR)
    // Nobody else has them open, and what they reach may take nothing for a while.
    try FileIO.setNonBlocking(standard.rawValue)
    try FileIO.setNonBlocking(errors.rawValue)
    for (number, target) in [
      (standard.rawValue, STDIN_FILENO), (standard.rawValue, STDOUT_FILENO),
      (errors.rawValue, STDERR_FILENO),
    ] {
      _ = try retrying("dup2") { dup2(number, target) }
    }
    for (index, folder) in request.folders.enumerated() {
      try mount(folder, tag: AgentRequest.Folder.tag(index))
    }
    _ = try retrying("chdir", request.workingDirectory) { unsafe chdir(request.workingDirectory) }
    // From here on they come, and the command may not be there yet to take them.
    Signals.block(EmulatedHost.passedSignals)
    try FileIO.writeAll(control.rawValue, Array("ready\n".utf8))
    try passSignalsOn(from: control.duplicated())
    let code = body(request)
    try FileIO.writeAll(control.rawValue, Array("exit \(code)\n".utf8))
  }

  private static func receive(_ control: Int32) throws -> AgentRequest {
    let header = try read(4, from: control)
    let count = header.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    guard count <= AgentRequest.sizeLimit else {
      throw EmulatedHostError.protocolViolation("a request of \(count) bytes")
    }
    return try AgentRequest(payload: try read(count, from: control))
  }

  private static func read(_ count: Int, from number: Int32) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = try FileIO.read(number, atMost: count - bytes.count) ?? []
      guard !more.isEmpty else {
        throw EmulatedHostError.protocolViolation("\(bytes.count) of \(count) bytes of a request")
      }
      bytes += more
    }
    return bytes
  }

  private static func mount(_ folder: AgentRequest.Folder, tag: String) throws(SystemError) {
    // A folder under /dev or /run is hidden by the emulated host's own: make its path there.
    var path = ""
    for part in folder.path.split(separator: "/") {
      path += "/" + part
      _ = unsafe mkdir(path, 0o755)
    }
    // No cache: what the guest has written is in the user's file when its request completes.
    let options = "trans=virtio,version=9p2000.L,msize=512000,cache=none"
    let flags = folder.isWritable ? 0 : UInt(MS_RDONLY)
    _ = try retrying("mount", folder.path) {
      // SAFETY: all four strings are bridged for the length of the call.
      unsafe options.withCString {
        unsafe CLinux.mount(tag, folder.path, "9p", flags, $0)
      }
    }
  }

  private static func passSignalsOn(from control: consuming OwnedFileDescriptor) throws {
    let number = control.release()
    let thread = try Thread("signals") {
      while let bytes = try? FileIO.read(number, atMost: 16), !bytes.isEmpty {
        for signal in bytes { _ = kill(getpid(), Int32(signal)) }
      }
    }
    // The thread reads until the emulated host ends, and it with it.
    thread.detach()
  }
}
