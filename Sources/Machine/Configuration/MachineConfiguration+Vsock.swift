import Virtio

extension MachineConfiguration {
  /// Sockets between the guest and programs of the host.
  public struct Vsock: Equatable, Sendable {
    /// The guest's context: 3 or more.
    public var cid: UInt64
    /// Where programs connect to the guest; those that the guest connects to are at `PATH_P`.
    public var path: String
    /// Where the device sits; see ``MachineConfiguration/Disk/address``.
    public var address: UInt64?

    /// Describes the sockets of context `cid` at `path`.
    public init(cid: UInt64, path: String, address: UInt64? = nil) {
      self.cid = cid
      self.path = path
      self.address = address
    }

    /// The option that this is.
    public var text: String { "--vsock cid=\(cid),path=\(path)" }
  }

  /// Checks what of the sockets does not need the host.
  func validateVsock() throws(MachineError) {
    guard let vsock else { return }
    guard Virtio.Vsock.cids.contains(vsock.cid) else { throw .contextID(option: vsock.text) }
    let limit = VsockSockets.pathLimit
    guard (1...limit).contains(vsock.path.utf8.count) else {
      throw .vsockPath(option: vsock.text, limit: limit)
    }
  }
}
