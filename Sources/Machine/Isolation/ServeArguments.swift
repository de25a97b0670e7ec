import Virtio

/// What `apus serve` is to be told for a device of a machine.
extension MachineConfiguration.Disk {
  /// The arguments after `serve`, for a disk that log lines call `name`.
  func serveArguments(name: String, queueCount: Int) -> [String] {
    var text = escaped(path)
    if isReadOnly { text += ",readonly" }
    if isDirect { text += ",direct" }
    if cache != .writeBack { text += ",cache=\(cache.rawValue)" }
    if let engine { text += ",engine=\(engine.rawValue)" }
    if let timeout { text += ",timeout=\(timeout)" }
    if let reconnect { text += ",reconnect=\(reconnect)" }
    if let serial { text += ",serial=\(escaped(serial))" }
    text += ",id=\(name)" + limitText(limit, bytes: "bps", operations: "iops")
    return ["disk", text, "--queues", "\(queueCount)"]
  }
}

extension MachineConfiguration.Network {
  /// The arguments after `serve`, for a process that has our descriptors from `first` on; with `address` for one that
  /// tells the guest its address itself.
  func serveArguments(descriptorsFrom first: Int32, address: MACAddress? = nil) -> [String] {
    var text: String
    switch link {
    case .tap(let name): text = "tap=\(escaped(name))"
    case .unix(let path, let isServer): text = "unix:\(escaped(path))" + (isServer ? ",server" : "")
    case .descriptors(let numbers):
      let moved = numbers.indices.map { "\(first + Int32($0))" }
      text = "fd=" + moved.joined(separator: ":")
    }
    if let mtu { text += ",mtu=\(mtu)" }
    if let address { text += ",mac=\(address)" }
    text += limitText(receiveLimit, bytes: "rx-bytes", operations: "rx-packets")
    text += limitText(sendLimit, bytes: "tx-bytes", operations: "tx-packets")
    return ["net", text]
  }

  /// The descriptors that the process must have.
  var descriptors: [Int32] {
    if case .descriptors(let numbers) = link { numbers } else { [] }
  }
}

extension MachineConfiguration.Vsock {
  /// The arguments after `serve`.
  var serveArguments: [String] { ["vsock", "cid=\(cid),path=\(escaped(path))"] }
}

extension MachineConfiguration.Balloon {
  /// The arguments after `serve`.
  var serveArguments: [String] {
    var text = "size=\(size)"
    if !options.reportsFreePages { text += ",reporting=off" }
    if !options.deflatesOnOOM { text += ",deflate-on-oom=off" }
    return ["balloon", text]
  }
}

extension RateLimit.Rate {
  /// The rate as options have it.
  var text: String { "\(perSecond)/\(burst)" }
}

private func limitText(_ limit: RateLimit, bytes: String, operations: String) -> String {
  (limit.bytes.map { ",\(bytes)=\($0.text)" } ?? "")
    + (limit.operations.map { ",\(operations)=\($0.text)" } ?? "")
}

/// A part of an option, in which a comma is written twice.
private func escaped(_ text: String) -> String {
  text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
}
