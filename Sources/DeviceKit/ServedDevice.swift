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

  /// A virtio device, for front ends, clients and proxies.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - lookAgain: Called at each SIGUSR2, on a thread of its own, where it may take its time.
  /// - Returns: The device.
  public static func virtio(
    _ device: any VirtioDevice,
    lookAgain: (@Sendable (Logger) -> Void)? = nil
  ) -> Self {
    Self(kind: .virtio(device), lookAgain: lookAgain)
  }

  /// A PCI device of an author's, for clients and proxies.
  public static func model(_ model: PCIDeviceModel) -> Self {
    Self(kind: .model(model), lookAgain: nil)
  }

  var name: String {
    switch kind {
    case .virtio(let device): device.name
    case .model(let model): model.profile.name
    }
  }
}
