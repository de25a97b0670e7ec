import Glibc
public import HostOS
public import Logging
import PCI
public import Virtio

extension MPQEMUServer {
  /// Serves a virtio device, as a function with a BAR below 4 GiB and no MSI-X: QEMU's proxy knows of neither
  /// BARs of 64 bits nor messages.
  ///
  /// - Parameters:
  ///   - device: The device, which belongs to the server from now on.
  ///   - logger: Where to say what a proxy or a driver did wrong.
  /// - Returns: The server.
  /// - Throws: `SystemError` if the host has no descriptor or thread left.
  public static func make(_ device: any VirtioDevice, logger: Logger) throws -> MPQEMUServer {
    let hub = try IOHub(policy: .everyRise)
    let function = try HostedFunction(line: hub.makeLine(0), logger: logger) { wiring in
      try PCITransport(
        device,
        memory: wiring.memory,
        line: wiring.line,
        messages: nil,
        doorbells: nil,
        bar: .memory32(),
        logger: wiring.logger
      )
    }
    return MPQEMUServer(function, hub: hub, logger: logger)
  }

  /// The socket that the process was started with, which has to be connected.
  ///
  /// - Throws: `SystemError`, `ENOTSOCK` for anything but a connected unix stream socket.
  public static func socket(
    adopting descriptor: consuming OwnedFileDescriptor
  ) throws(SystemError) -> OwnedFileDescriptor {
    guard try DescriptorKind(of: descriptor.rawValue) == .streamSocket else {
      throw SystemError(
        call: "mpqemu",
        code: ENOTSOCK,
        subject: "descriptor \(descriptor.rawValue)"
      )
    }
    return descriptor
  }
}
