public import DeviceModel
public import Logging
public import PCI
import Virtio

extension PCIDeviceModel {
  /// Makes a device in a process of its own.
  ///
  /// - Throws: What the device's author or the source of vectors throws.
  public func makeFunction(_ wiring: HostedWiring) throws -> PCIDeviceFunction {
    let log = LimitedLog(wiring.logger, prefix: profile.name)
    return try PCIDeviceFunction(
      self,
      reaching: wiring.dma,
      line: wiring.line,
      messages: wiring.messages
    ) {
      log.warning($0)
    }
  }
}

extension VfioUserServer {
  /// Serves devices of `model`, one for each client.
  ///
  /// - Throws: `SystemError` if the host has no descriptor or thread left, or what the device's author throws.
  public convenience init(_ model: PCIDeviceModel, logger: Logger) throws {
    try self.init(logger: logger) { wiring in try model.makeFunction(wiring) }
  }
}

extension MPQEMUServer {
  /// Serves a device of `model`, which has its INTx pin only: the protocol has no messages.
  ///
  /// - Throws: `SystemError` if the host has no descriptor or thread left, or what the device's author throws.
  public static func make(_ model: PCIDeviceModel, logger: Logger) throws -> MPQEMUServer {
    let hub = try IOHub(policy: .everyRise)
    let function = try HostedFunction(line: hub.makeLine(0), logger: logger) { wiring in
      try model.makeFunction(wiring)
    }
    return MPQEMUServer(function, hub: hub, logger: logger)
  }
}
