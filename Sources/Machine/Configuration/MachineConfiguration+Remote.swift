import DeviceModel
public import RemoteDevice
public import Virtio

extension MachineConfiguration {
  /// A device that another process serves.
  public struct Remote: Equatable, Sendable {
    /// What is spoken with the process, and with that what it can serve.
    public enum Kind: Hashable, Sendable {
      /// vhost-user: a virtio device of this kind.
      case vhostUser(VhostUserKind)
      /// vfio-user: any PCI function.
      case vfioUser
      /// The multi-process protocol, with a process that listens or is started: any conventional PCI function.
      case mpqemu(MPQEMURemote)

      /// How a user names it.
      public var text: String {
        switch self {
        case .vhostUser(let kind): kind.rawValue
        case .vfioUser: "vfio-user"
        case .mpqemu: "mpqemu"
        }
      }
    }

    /// What kind of device that is.
    public var kind: Kind
    /// Where the process listens.
    public var socket: String
    /// The address of a network interface; one of its own if not given.
    public var macAddress: MACAddress?
    /// Where the device sits; see ``MachineConfiguration/Disk/address``.
    public var address: UInt64?

    /// Describes the device of the process that listens at `socket`.
    public init(
      _ kind: Kind,
      socket: String,
      macAddress: MACAddress? = nil,
      address: UInt64? = nil
    ) {
      self.kind = kind
      self.socket = socket
      self.macAddress = macAddress
      self.address = address
    }

    /// The option that this is.
    public var text: String {
      if case .mpqemu(let remote) = kind, case .command(let command) = remote.endpoint {
        return "--device mpqemu,exec=\(command)"
      }
      return "--device \(kind.text),socket=\(socket)"
    }

    /// Whether it brings a PCI function of its own, and no device for our transports.
    var isFunction: Bool {
      if case .vhostUser = kind { false } else { true }
    }
  }

  func validateRemotes() throws(MachineError) {
    guard transport == .mmio else { return }
    if let remote = remotes.first(where: \.isFunction) {
      throw .needsPCI(option: remote.text)
    }
  }

  func validate(_ devices: [PCIDeviceModel]) throws(MachineError) {
    guard transport == .mmio, let device = devices.first else { return }
    throw .needsPCI(option: "device \(device.profile.name)")
  }
}
