import Virtio

extension MachineConfiguration {
  /// A port of the virtio console beside its terminal, between programs of the guest and of the host.
  public struct Port: Equatable, Sendable {
    /// What the guest finds it by, as `/dev/virtio-ports/NAME`.
    public var name: String
    /// The host's end.
    public var stream: Stream

    /// Describes the port `name`.
    public init(name: String, stream: Stream) {
      self.name = name
      self.stream = stream
    }

    /// The option that this is.
    public var text: String { "--port \(name)=\(stream.text)" }

    /// The most bytes of a name.
    static var nameLimit: Int { 127 }
  }

  /// Every host's end that the options name.
  public var streams: [Stream] { [serial, console] + ports.map(\.stream) }

  /// Checks what of the ports does not need the host.
  func validatePorts() throws(MachineError) {
    guard ports.count <= Console.portLimit else {
      throw .tooManyDevices(kind: "console port", limit: Console.portLimit)
    }
    for (index, port) in ports.enumerated() {
      let bytes = port.name.utf8
      // The guest's /dev has files of these names.
      guard (1...Port.nameLimit).contains(bytes.count), !bytes.contains(UInt8(ascii: "/")),
        bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
      else { throw .portName(option: port.text, limit: Port.nameLimit) }
      guard !ports[..<index].contains(where: { $0.name == port.name }) else {
        throw .portTaken(option: port.text)
      }
      guard port.stream != .standard || !streams[..<(index + 2)].contains(.standard) else {
        throw .portTerminal(option: port.text)
      }
    }
  }
}

extension MachineConfiguration.Stream {
  /// The value of an option that this is.
  var text: String {
    switch self {
    case .none: "none"
    case .standard: "stdio"
    case .file(let path): "file:\(path)"
    case .pipe(let path): "pipe:\(path)"
    case .unix(let path): "unix:\(path)"
    case .device(let path): path
    }
  }
}
