import Logging
import Machine

/// What the arguments of a device's program ask for.
enum DeviceArguments {
  /// A guest with the device.
  struct RunOptions {
    let program: String
    var configuration: MachineConfiguration
    var isDryRun = false
    var logLevel = Logger.Level.warning
  }

  case help(String)
  case run(RunOptions)
  case serve(DeviceServer)

  /// Understands what follows a program's name.
  ///
  /// - Throws: ``UserError`` for what makes no sense.
  init(_ arguments: [String], program: String) throws(UserError) {
    if arguments.isEmpty || arguments.contains("--help") || arguments.contains("-h") {
      self = .help(Self.help(program))
      return
    }
    var words = Words(arguments[...], program: program)
    if arguments.first == "run" {
      words.skip()
      self = .run(try Self.parseRun(&words, program))
    } else {
      self = .serve(try Self.parseServe(&words, program))
    }
  }

  private static func parseServe(
    _ words: inout Words,
    _ program: String
  ) throws(UserError) -> DeviceServer {
    var peers: [DevicePeer] = []
    var sandbox = SandboxMode.on
    var isDryRun = false
    var logLevel = Logger.Level.warning
    while let word = words.next() {
      switch word {
      case "--vfio-user": peers.append(.vfioUser(try words.value()))
      case "--mpqemu": peers.append(.mpqemu(try words.value()))
      case "--sandbox": sandbox = try words.choice()
      case "--log-level": logLevel = try words.choice()
      case "--dry-run": isDryRun = true
      default: throw words.unknown()
      }
    }
    guard let peer = peers.first, peers.count == 1 else {
      throw UserError(
        message: "say for whom: one of run, --vfio-user and --mpqemu; see: \(program) --help"
      )
    }
    var server = DeviceServer(program: program, peer: peer)
    server.sandbox = sandbox
    server.isDryRun = isDryRun
    server.logLevel = logLevel
    return server
  }

  private static func parseRun(
    _ words: inout Words,
    _ program: String
  ) throws(UserError) -> RunOptions {
    guard let kernel = words.next(), !kernel.hasPrefix("-") else {
      throw UserError(message: "run: name a kernel; see: \(program) --help")
    }
    var options = RunOptions(program: program, configuration: MachineConfiguration(kernel: kernel))
    while let word = words.next() {
      switch word {
      case "--initrd": options.configuration.initialFiles.append(try words.value())
      case "--append": options.configuration.commandLine = try words.value()
      case "--cpus": options.configuration.processorCount = try words.number()
      case "--memory": options.configuration.memory = UInt64(try words.number()) << 20
      case "--irqchip": options.configuration.interruptMode = try words.choice()
      case "--debug-exit": options.configuration.hasDebugExit = true
      case "--test-device": options.configuration.hasTestDevice = true
      case "--log-level": options.logLevel = try words.choice()
      case "--dry-run": options.isDryRun = true
      default: throw words.unknown()
      }
    }
    return options
  }

  private static func help(_ program: String) -> String {
    """
    USAGE
      \(program) run KERNEL [--initrd FILE]... [--append TEXT] [--cpus N] [--memory MIB]
          [--irqchip kernel|split|user] [--debug-exit] [--test-device] [--dry-run]
                                      run a guest that has the device
      \(program) --vfio-user SOCKET   serve the device to vfio-user clients; SOCKET is a path, or
                                      fd:N for a socket that the process was started with
      \(program) --mpqemu fd:N        serve it to a proxy of the multi-process protocol

      --sandbox on|strict|off         how far a process that serves the device is shut in (on)
      --dry-run                       print the machine, or the layers of the sandbox, and end
      --log-level LEVEL               trace, debug, info, notice, warning, error or critical

    EXIT CODES
      0 ended as asked, 2 bad input, 4 the host failed, 14 the sandbox refused a system call;
      of run, how the guest ended: see apus run --help

    """
  }
}

/// Arguments, one after the other.
private struct Words {
  private var rest: ArraySlice<String>
  private let program: String
  private var last = ""

  init(_ words: ArraySlice<String>, program: String) {
    rest = words
    self.program = program
  }

  mutating func skip() { rest = rest.dropFirst() }

  mutating func next() -> String? {
    guard let word = rest.popFirst() else { return nil }
    last = word
    return word
  }

  mutating func value() throws(UserError) -> String {
    guard let value = rest.popFirst() else {
      throw UserError(message: "\(last): a value should follow; see: \(program) --help")
    }
    return value
  }

  mutating func number() throws(UserError) -> Int {
    let text = try value()
    // No option has a use for more, and none of them may wrap.
    guard let number = Int(text), (0...1 << 30).contains(number) else {
      throw UserError(message: "\(last) \(text): say a number, such as 1")
    }
    return number
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>() throws(UserError) -> Choice
  where Choice.RawValue == String {
    let text = try value()
    guard let choice = Choice(rawValue: text) else {
      let all = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw UserError(message: "\(last) \(text): say one of \(all)")
    }
    return choice
  }

  func unknown() -> UserError {
    UserError(message: "\(last): there is no such option; see: \(program) --help")
  }
}
