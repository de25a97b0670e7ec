public import Virtio

extension MachineConfiguration {
  /// A disk.
  public struct Disk: Equatable, Sendable {
    /// What its sectors are stored in.
    public enum Source: Equatable, Sendable {
      /// A raw image file or block device.
      case file(String)
      /// What a server of the network block device protocol has.
      case nbd(NBDAddress)
      /// Nothing: so many bytes that read as zeroes.
      case null(UInt64)
    }

    /// When a write is on stable storage.
    public enum Cache: String, Sendable, CaseIterable {
      /// When the guest has flushed it.
      case writeBack = "writeback"
      /// When it ends.
      case writeThrough = "writethrough"
    }

    /// What its sectors are stored in.
    public var source: Source
    /// Whether the guest may only read it.
    public var isReadOnly: Bool
    /// Whether a file is read and written past the host's page cache.
    public var isDirect = false
    /// How requests on a file are done; `nil` is what suits the host.
    public var engine: DiskImage.Engine?
    /// When a write is on stable storage.
    public var cache = Cache.writeBack
    /// How many queues it has; `nil` is as many as the guest has processors, and one for a server.
    public var queueCount: Int?
    /// What the guest reads as its identification; `nil` is its name.
    public var serial: String?
    /// What log lines call it; `nil` is `disk` with its number.
    public var name: String?
    /// How long a server may take over a request, in seconds; `nil` is ``NBDDisk/Options/timeout``.
    public var timeout: Int?
    /// How long requests wait for a server that was lost, in seconds; `nil` is not at all.
    public var reconnect: Int?
    /// How much the guest may read and write.
    public var limit = RateLimit()
    /// Where it sits: a PCI device number (1–31) or the address of its registers; `nil` is the
    /// next.
    public var address: UInt64?

    /// Describes a disk that stores its sectors in `source`.
    public init(_ source: Source, isReadOnly: Bool = false, address: UInt64? = nil) {
      self.source = source
      self.isReadOnly = isReadOnly
      self.address = address
    }

    /// Describes the disk in the file at `path`.
    public init(path: String, isReadOnly: Bool = false, address: UInt64? = nil) {
      self.init(.file(path), isReadOnly: isReadOnly, address: address)
    }

    /// The part of the option that says what its sectors are stored in.
    public var path: String {
      switch source {
      case .file(let path): path
      case .nbd(let address): address.description
      case .null(let count): "null:\(count)"
      }
    }
  }

  /// Checks what of the disks does not need the host.
  func validateDisks() throws(DiskError) {
    // What log lines, apus inspect and apus replace call the others.
    var names: [String: String] = [:]
    for (index, network) in networks.enumerated() { names["net\(index)"] = network.text }
    for (index, remote) in remotes.enumerated() { names["remote\(index)"] = remote.text }
    if vsock != nil { names["vsock"] = "--vsock" }
    if balloon != nil { names["balloon"] = "--balloon" }
    if console != .none || !ports.isEmpty { names["console"] = "--console" }
    if hasEntropy { names["entropy"] = "the entropy source" }
    for (index, disk) in disks.enumerated() {
      try disk.validate()
      let name = disk.name ?? "disk\(index)"
      if let other = names.updateValue(disk.path, forKey: name) {
        throw .sameName(disk.path, other: other, name)
      }
    }
  }
}

extension MachineConfiguration.Disk {
  /// Checks what does not need the host.
  func validate() throws(DiskError) {
    if case .null(let count) = source, count == 0 || count % DiskImage.sectorSize != 0 {
      throw .size(path, count)
    }
    if case .file = source {
    } else {
      if isDirect { throw .onlyFiles(path, "direct") }
      if engine != nil { throw .onlyFiles(path, "engine") }
    }
    if case .nbd = source {
    } else {
      if timeout != nil { throw .onlyServers(path, "timeout") }
      if reconnect != nil { throw .onlyServers(path, "reconnect") }
    }
    if let timeout, !(1...3600).contains(timeout) { throw .time(path, "timeout", timeout) }
    if let reconnect, !(0...3600).contains(reconnect) {
      throw .time(path, "reconnect", reconnect)
    }
    if let queueCount, !(1...Block.queueLimit).contains(queueCount) {
      throw .queues(path, queueCount)
    }
    if let serial, !(1...Block.serialCount).contains(serial.utf8.count) {
      throw .serial(path, serial)
    }
    if let name, !Self.isName(name) { throw .name(path, name) }
  }

  private static func isName(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
          UInt8(ascii: "."):
          true
        default: false
        }
      }
  }
}
