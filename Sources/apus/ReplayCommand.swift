import ArgumentParser
import DeviceKit
import Glibc
import HostOS
import RemoteDevice

/// `apus replay`: drives a device's process with what was recorded, and says where it differs.
struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replay a recording of apus run --record to a device's process.",
    discussion: """
      EXAMPLES
        apus run vmlinuz --device vfio-user,socket=dev.sock --record run.msgs
        apus replay run.msgs --exec 'copier'           # an author's program
        apus replay run.msgs -- entropy                # apus serve entropy
        apus replay run.msgs --list

      The process gets every message that it got then, in order, and each of its
      answers is compared with the recorded one. The first that differs ends the
      replay, with exit code 1 and one line that names the message and the byte.

      EXIT CODES
        0  no difference
        1  a difference
        2  bad input: an option, or a file that is no recording
        4  the host failed
      """
  )

  @Argument(help: "The recording.", completion: .file())
  var file: String

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("What apus serve is to serve, with its options.", valueName: "device")
  )
  var device: [String] = []

  @Option(
    help: ArgumentHelp(
      "The program that serves the device instead; the option for its socket is put at its end.",
      valueName: "command"
    )
  )
  var exec: String?

  @Option(
    help: ArgumentHelp(
      "Which connection, by its number in --list; the first if not given.",
      valueName: "n"
    )
  )
  var connection: UInt32?

  @Flag(help: "Send each message at its time, and not as fast as the device goes.")
  var timed = false

  @Flag(help: "List the connections in the recording, and end.")
  var list = false

  mutating func run() throws {
    guard list || device.isEmpty == (exec != nil) else {
      throw UserError(
        message:
          "say what is to be replayed to: --exec COMMAND, or -- and what apus serve is to serve"
      )
    }
    do {
      var reader = try RecordingReader(try open())
      if list { return try Self.list(&reader) }
      let found = try Replay.find(connection, in: &reader)
      let count = try replay(found, &reader)
      let end = reader.isCutShort ? "; the recording was cut short there" : ""
      print("\(found.name): \(count) messages, no difference\(end)")
    } catch let error as RecordingError {
      throw UserError(message: "\(file): \(error)")
    } catch let error as Replay.Difference {
      print("\(error)")
      throw ExitCode(1)
    }
  }

  private func open() throws -> OwnedFileDescriptor {
    do throws(SystemError) {
      return try OwnedFileDescriptor(opening: file, O_RDONLY)
    } catch {
      throw UserError(message: "\(file): \(error.reason); name a recording of apus run --record")
    }
  }

  private func replay(
    _ connection: RecordedConnection,
    _ reader: inout RecordingReader
  ) throws -> Int {
    let place = "\(connection.protocol.option) fd:\(DeviceProgram.socketNumber)"
    var words = ["apus", "serve"] + device + place.split(separator: " ").map(String.init)
    if let exec { words = ["sh", "-c", "exec \(exec) \(place)"] }
    var near: OwnedFileDescriptor?
    var child = try Self.start(exec == nil ? "/proc/self/exe" : "/bin/sh", words, &near)
    defer {
      child.signal(SIGTERM)
      _ = child.wait()
    }
    guard let near = near.take() else { return 0 }
    var options = Replay.Options()
    options.keepsTime = timed
    return try Replay.run(connection, from: &reader, to: near, options)
  }

  private static func start(
    _ path: String,
    _ words: [String],
    _ near: inout OwnedFileDescriptor?
  ) throws(SystemError) -> ChildProcess {
    let pair = try SocketPair()
    near = try pair.near.duplicated()
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDWR)
    return try ChildProcess(
      path,
      words,
      environment: ["PATH", "HOME", "TMPDIR", "LANG"].compactMap(variable),
      descriptors: [null.rawValue, null.rawValue, STDERR_FILENO, pair.far.rawValue]
    )
  }

  /// A variable of our own environment, for the process's.
  private static func variable(_ name: String) -> String? {
    // SAFETY: nobody changes the environment of this process.
    unsafe getenv(name).map { unsafe "\(name)=\(String(cString: $0))" }
  }

  private static func list(_ reader: inout RecordingReader) throws {
    var connections: [RecordedConnection] = []
    var counts: [UInt32: Int] = [:]
    var ends: [UInt32: String] = [:]
    while let record = try reader.next() {
      switch record {
      case .connection(let connection):
        guard connections.count < 1 << 16 else { continue }
        connections.append(connection)
      case .message(let message): counts[message.connection, default: 0] += 1
      case .end(let end): ends[end.connection] = end.reason == .closed ? "" : ", not all of it"
      }
    }
    for connection in connections {
      let count = counts[connection.number] ?? 0
      let end = ends[connection.number] ?? ", still open at the end"
      print(
        "\(connection.number)  \(connection.name)  \(connection.protocol)  \(count) messages\(end)"
      )
    }
  }
}
