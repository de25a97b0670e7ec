import HostOS
import Synchronization
import Virtio

/// The host's ends of a virtio console and its ports, which outlive a restart of the guest.
///
/// What comes from outside goes through a socket, since this process reads it first: it looks for escape
/// keys, and for clients that come and go. Any thread may call.
final class HostConsole: Sendable {
  /// One end, with the way to the device of the run that is going on.
  private struct End: Sendable {
    let name: String?
    let stream: StreamPort
    let input = CurrentInput()
  }

  // The terminal, then the ports, by their numbers.
  private let terminal: End?
  private let ports: [End]
  private let state: Mutex<State>

  private struct State {
    var device: Console?
    /// The way to a device that has a process of its own, through all runs.
    var link: ConsoleLinkHost?
    /// By number: whether somebody is at the host's end.
    var isOpen: [Bool]
  }

  /// Opens the ends.
  ///
  /// - Parameters:
  ///   - terminal: The console's terminal, if there is one.
  ///   - ports: The ports beside it.
  ///   - onQuit: Called when a user types the escape sequence that ends the guest.
  /// - Throws: ``MachineError/stream(path:reason:)`` if one cannot be opened, or `SystemError`.
  init(
    terminal: MachineConfiguration.Stream,
    ports: [MachineConfiguration.Port],
    onQuit: @escaping @Sendable () -> Void
  ) throws {
    self.terminal =
      terminal == .none ? nil : End(name: nil, stream: try StreamPort(terminal, onQuit: onQuit))
    self.ports = try ports.map { port in
      End(name: port.name, stream: try StreamPort(port.stream, onQuit: onQuit))
    }
    state = Mutex(State(isOpen: [true] + self.ports.map(\.stream.isConnectedAtFirst)))
  }

  /// Makes the device of a run, to which everything goes from now on.
  ///
  /// - Returns: The device; `nil` if there is neither terminal nor port.
  /// - Throws: `SystemError` if the host has no descriptor left.
  func makeDevice(name: String = "console0") throws(SystemError) -> Console? {
    guard terminal != nil || !ports.isEmpty else { return nil }
    var made: [ConsolePort] = []
    for port in ports { made.append(try Self.connect(port)) }
    let device = try Console(try terminal.map(Self.connect), ports: made, name: name)
    state.withLock { state in
      state.device = device
      for (number, isOpen) in state.isOpen.enumerated() where !isOpen {
        device.setHostEnd(of: number, open: false)
      }
    }
    return device
  }

  /// Connects the ends to a device that has a process of its own, from ``start()`` on.
  ///
  /// - Returns: What leads there; `nil` if there is neither terminal nor port.
  /// - Throws: `SystemError` if the host has no descriptor left.
  func makeLink() throws(SystemError) -> ConsoleLinkHost? {
    guard terminal != nil || !ports.isEmpty else { return nil }
    var ends: [ConsoleLinkEnd?] = []
    for end in [terminal] + ports.map(Optional.some) {
      if let end {
        ends.append(try ConsoleLinkEnd(end.stream.makeOutput()))
      } else {
        ends.append(nil)
      }
    }
    let link = try ConsoleLinkHost(
      ends,
      names: ["console"] + ports.map { "port \($0.name ?? "")" },
      isOpen: state.withLock { $0.isOpen }
    )
    state.withLock { $0.link = link }
    return link
  }

  /// A device with the same ports and nothing behind them.
  static func makeDetachedDevice(
    _ configuration: MachineConfiguration
  ) throws(SystemError) -> Console? {
    guard configuration.console != .none || !configuration.ports.isEmpty else { return nil }
    return try Console(
      configuration.console == .none ? nil : ConsolePort(input: nil, output: nil),
      ports: configuration.ports.map { ConsolePort(name: $0.name, input: nil, output: nil) }
    )
  }

  /// Starts to deliver what comes from outside.
  func start() throws(SystemError) {
    let link = state.withLock { $0.link }
    try link?.start()
    if let terminal {
      try terminal.stream.start { [terminal] in link?.send($0, to: 0) ?? terminal.input.write($0) }
    }
    for (index, port) in ports.enumerated() {
      try port.stream.start(
        { link?.send($0, to: index + 1) ?? port.input.write($0) },
        onConnection: { [weak self] in self?.setOpen(index + 1, $0) }
      )
    }
  }

  /// Ends the delivery, and puts a terminal back as it was; what the guest said last has been written.
  func stop() {
    // Before those who carry it on to clients.
    state.withLock { $0.link }?.stop()
    terminal?.stream.stop()
    for port in ports { port.stream.stop() }
  }

  private func setOpen(_ number: Int, _ isOpen: Bool) {
    state.withLock { state in
      state.isOpen[number] = isOpen
      state.device?.setHostEnd(of: number, open: isOpen)
      state.link?.setOpen(number, isOpen)
    }
  }

  /// Connects an end to a new port of a device.
  private static func connect(_ end: End) throws(SystemError) -> ConsolePort {
    let pair = try SocketPair()
    try FileIO.setNonBlocking(pair.near.rawValue)
    try FileIO.setNonBlocking(pair.far.rawValue)
    end.input.set(try pair.near.duplicated())
    return ConsolePort(
      name: end.name,
      input: try pair.far.duplicated(),
      output: try end.stream.makeOutput()
    )
  }

  /// The way to the device of the run that is going on.
  private final class CurrentInput: Sendable {
    private let input = Mutex<OwnedFileDescriptor?>(nil)

    func set(_ new: consuming OwnedFileDescriptor) {
      var new = Optional(new)
      input.withLock { input in input = new.take() }
    }

    func write(_ bytes: ArraySlice<UInt8>) -> Int {
      input.withLock { input in
        guard let number = input.borrow({ $0.rawValue }) else { return 0 }
        // A console that is gone takes everything.
        return (try? FileIO.write(number, bytes)) ?? bytes.count
      }
    }
  }
}
