import HostOS
public import Virtio

/// A virtio console with its host's end, for a machine that is another process's.
public final class ServedConsole: Sendable {
  /// The device.
  public let device: Console
  private let port: StreamPort

  /// Opens the host's end, and carries bytes from it to the device from now on.
  ///
  /// - Throws: ``MachineError/stream(path:reason:)`` if it cannot be opened, or `SystemError`.
  public init(_ stream: MachineConfiguration.Stream) throws {
    let port = try StreamPort(stream, onQuit: {})
    let pair = try SocketPair()
    try FileIO.setNonBlocking(pair.near.rawValue)
    try FileIO.setNonBlocking(pair.far.rawValue)
    device = Console(
      input: try pair.far.duplicated(),
      output: try port.makeOutput(),
      name: "console"
    )
    self.port = port
    let input = Input(try pair.near.duplicated())
    try port.start { bytes in input.write(bytes) }
  }

  /// Ends the carrying of bytes; what the guest said last has been written.
  public func stop() { port.stop() }

  /// The way to the device.
  private final class Input: Sendable {
    private let descriptor: OwnedFileDescriptor

    init(_ descriptor: consuming OwnedFileDescriptor) { self.descriptor = descriptor }

    // A console that is gone takes everything.
    func write(_ bytes: ArraySlice<UInt8>) -> Int {
      (try? FileIO.write(descriptor.rawValue, bytes)) ?? bytes.count
    }
  }
}
