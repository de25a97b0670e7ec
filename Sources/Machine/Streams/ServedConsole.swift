public import HostOS
public import Virtio

/// A virtio console with its host's end, for a machine that is another process's.
public final class ServedConsole: Sendable {
  /// The device.
  public let device: Console
  private let host: HostConsole

  /// Opens the host's end.
  ///
  /// - Throws: ``MachineError/stream(path:reason:)`` if it cannot be opened, or `SystemError`.
  public init(_ stream: MachineConfiguration.Stream) throws {
    host = try HostConsole(terminal: stream, ports: [], onQuit: {})
    device = try host.makeDevice(name: "console") ?? Console(nil, name: "console")
  }

  /// Carries bytes from the host's end to the device from now on, on a thread of its own.
  ///
  /// - Throws: `SystemError` if the host has no room for a thread.
  public func start() throws(SystemError) { try host.start() }

  /// Ends the carrying of bytes; what the guest said last has been written.
  public func stop() { host.stop() }
}
