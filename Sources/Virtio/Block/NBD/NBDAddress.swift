/// Where an export of a network block device server is.
public struct NBDAddress: Equatable, Sendable, CustomStringConvertible {
  enum Place: Equatable {
    /// A unix socket, and the export's name.
    case unix(path: String, name: String)
    /// A URI as the protocol's own documents define it.
    case uri(String)
  }

  /// The address as it was written.
  public let description: String
  let place: Place

  private static var schemes: [String] { ["nbd://", "nbds://", "nbd+unix://", "nbds+unix://"] }

  /// Whether `text` begins as addresses do.
  public static func isAddress(_ text: String) -> Bool {
    text.hasPrefix("nbd:") || schemes.contains { text.hasPrefix($0) }
  }

  /// Reads `nbd:unix:PATH[:EXPORT]` or a URI, such as `nbd://host:port/export` or
  /// `nbd+unix:///export?socket=PATH`; `nil` if it is neither.
  public init?(_ text: String) {
    description = text
    if let scheme = Self.schemes.first(where: { text.hasPrefix($0) }) {
      guard text.utf8.count > scheme.utf8.count, !text.utf8.contains(0) else { return nil }
      let isPlain = scheme == "nbd+unix://"
      // So that somebody else can connect: in a sandbox, the monitor does.
      place = isPlain ? Self.local(text.dropFirst(scheme.count)) ?? .uri(text) : .uri(text)
      return
    }
    guard text.hasPrefix("nbd:unix:"), !text.utf8.contains(0) else { return nil }
    let parts = text.dropFirst(9).split(
      separator: ":",
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    guard let path = parts.first, !path.isEmpty else { return nil }
    var name = parts.count > 1 ? String(parts[1]) : ""
    // As QEMU writes it.
    if name.hasPrefix("exportname=") { name = String(name.dropFirst(11)) }
    place = .unix(path: String(path), name: name)
  }

  /// The place of a URI that names a unix socket and the export's name, and nothing else; `rest` is what comes after the
  /// scheme.
  private static func local(_ rest: Substring) -> Place? {
    let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let mark = "socket="
    guard parts.count == 2, parts[0].isEmpty || parts[0].hasPrefix("/"), parts[1].hasPrefix(mark),
      !parts[1].contains(where: { $0 == "&" || $0 == "#" || $0 == ";" })
    else { return nil }
    let path = decode(parts[1].dropFirst(mark.count))
    let name = decode(parts[0].dropFirst())
    guard !path.isEmpty, !"\(path)\(name)".utf8.contains(0) else { return nil }
    return .unix(path: path, name: name)
  }

  /// The unix socket, if the address names one and does without TLS.
  public var path: String? {
    guard case .unix(let path, _) = place else { return nil }
    return path
  }

  /// Whether the server is at a unix socket.
  public var isLocal: Bool {
    path != nil || description.hasPrefix("nbd+unix:") || description.hasPrefix("nbds+unix:")
  }

  /// The TCP port of the server; `nil` if it is at a unix socket, or nobody can tell.
  public var port: UInt16? {
    guard case .uri(let text) = place, !isLocal,
      let scheme = Self.schemes.first(where: { text.hasPrefix($0) })
    else { return nil }
    var host = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
    if let mark = host.lastIndex(of: "@") { host = host[host.index(after: mark)...] }
    // An address of IPv6 has colons of its own, in brackets.
    if let mark = host.lastIndex(of: "]") { host = host[mark...] }
    guard let mark = host.lastIndex(of: ":") else { return Self.defaultPort }
    let digits = host[host.index(after: mark)...]
    return digits.isEmpty ? Self.defaultPort : UInt16(digits)
  }
  private static var defaultPort: UInt16 { 10809 }

  /// The files and folders with keys that it names, which are read with each connection.
  public var keyPaths: [String] {
    guard case .uri(let text) = place, let mark = text.firstIndex(of: "?") else { return [] }
    return text[mark...].dropFirst().split(separator: "&").compactMap { field in
      let parts = field.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, ["tls-psk-file", "tls-certificates"].contains(parts[0]) else {
        return nil
      }
      return Self.decode(parts[1])
    }
  }

  /// Text without the escapes of a URI (RFC 3986, 2.1).
  private static func decode(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(digits, radix: 16) {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// How a server there is started.
  var remedy: String {
    switch place {
    case .unix(let path, let name):
      "qemu-nbd --persistent --socket=\(path)\(name.isEmpty ? "" : " --export-name=\(name)") "
        + "image.qcow2"
    case .uri(let text):
      text.contains("unix")
        ? "qemu-nbd --persistent --socket=PATH image.qcow2" : "qemu-nbd --persistent image.qcow2"
    }
  }
}
