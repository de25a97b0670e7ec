public import DeviceModel
public import Logging
public import Virtio

/// A device that has a process of its own.
public struct ServedDevice {
  enum Kind {
    case virtio(any VirtioDevice)
    case model(PCIDeviceModel)
  }

  let kind: Kind
  let lookAgain: (@Sendable (Logger) -> Void)?
  let report: (@Sendable () -> String)?

  /// A virtio device, for front ends, clients and proxies.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - lookAgain: Called at each SIGUSR2, on a thread of its own, where it may take its time.
  ///   - report: Called at each SIGUSR1, likewise, for a supervisor that is told what it returns, a part of a line.
  /// - Returns: The device.
  public static func virtio(
    _ device: any VirtioDevice,
    lookAgain: (@Sendable (Logger) -> Void)? = nil,
    report: (@Sendable () -> String)? = nil
  ) -> Self {
    Self(kind: .virtio(device), lookAgain: lookAgain, report: report)
  }

  /// A PCI device of an author's, for clients and proxies.
  public static func model(_ model: PCIDeviceModel) -> Self {
    Self(kind: .model(model), lookAgain: nil, report: nil)
  }

  var name: String {
    switch kind {
    case .virtio(let device): device.name
    case .model(let model): model.profile.name
    }
  }
}
