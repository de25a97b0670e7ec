public import RemoteDevice
public import Virtio

extension MachineConfiguration {
  /// A device that another process serves.
  public struct Remote: Equatable, Sendable {
    /// What kind of device that is.
    public var kind: VhostUserKind
    /// Where the process listens.
    public var socket: String
    /// The address of a network interface; one of its own if not given.
    public var macAddress: MACAddress?
    /// Where the device sits; see ``MachineConfiguration/Disk/address``.
    public var address: UInt64?

    /// Describes the device of the process that listens at `socket`.
    public init(
      _ kind: VhostUserKind,
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
    public var text: String { "--device \(kind.rawValue),socket=\(socket)" }
  }
}
