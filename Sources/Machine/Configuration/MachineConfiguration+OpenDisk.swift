public import DeviceModel
import Platform
public import Virtio

extension MachineConfiguration.Disk {
  /// Opens what the disk stores its sectors in, and locks it.
  ///
  /// - Throws: What is wrong with it; see ``Machine/isUserError(_:)``.
  public func open() throws -> DiskSource {
    try validate()
    switch source {
    case .file(let path):
      let options = DiskImage.Options(
        isReadOnly: isReadOnly,
        isDirect: isDirect,
        engine: engine ?? .auto
      )
      return DiskSource(try DiskImage(opening: path, options))
    case .nbd(let address):
      var options = NBDDisk.Options(isReadOnly: isReadOnly, connectionCount: queueCount ?? 1)
      if let timeout { options.timeout = .seconds(timeout) }
      if let reconnect { options.reconnect = .seconds(reconnect) }
      return DiskSource(try NBDDisk(address, options))
    case .null(let count):
      return DiskSource(NullDisk(count: count, isReadOnly: isReadOnly))
    }
  }

  /// What the device over it has besides.
  ///
  /// - Parameters:
  ///   - queueCount: How many queues it has unless it says.
  ///   - clock: What its limits go by; `nil` is the host's.
  /// - Returns: What ``open()`` does not say of the disk.
  /// - Throws: `SystemError` if the host has no room for a clock.
  public func options(
    queueCount: Int,
    clock: (any DeviceClock)? = nil
  ) throws -> Block.Options {
    let defaultCount = if case .nbd = source { 1 } else { queueCount }
    let limiter =
      try limit == RateLimit() ? nil : RateLimiter(limit, clock: clock ?? HostClock())
    return Block.Options(
      serial: serial,
      queueCount: self.queueCount ?? defaultCount,
      isWriteThrough: cache == .writeThrough,
      limiter: limiter
    )
  }
}
