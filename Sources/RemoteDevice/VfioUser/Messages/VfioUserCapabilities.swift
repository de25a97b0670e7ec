/// What one end of a connection can do; what it does not say has the protocol's default.
struct VfioUserCapabilities: Equatable, Sendable {
  /// A capability whose value makes no sense.
  struct Wrong: Error, Equatable {
    let name: String
    let expected: String
  }

  /// How descriptors of saved state are tracked, as older peers say it.
  struct Migration: Equatable, Sendable {
    var pageSize: UInt64 = 4096
    var bitmapLimit: UInt64 = 256 << 20
  }

  /// The most descriptors that this end takes with one message (`max_msg_fds`).
  var descriptorLimit: UInt64 = 1
  /// The most data that this end takes in one message (`max_data_xfer_size`), in bytes.
  var dataLimit: UInt64 = 1 << 20
  /// The most pieces of memory that this end can have mapped (`max_dma_maps`).
  var mapLimit: UInt64 = 65535
  /// The sizes of pages that memory can be mapped in, one bit each (`pgsizes`).
  var pageSizes: UInt64 = 4096
  /// Whether the server's requests can go over a socket of their own (`twin_socket`).
  var hasTwinSocket = false
  /// Which of the descriptors of the server's reply that is.
  var twinSocket: UInt64?
  /// Whether several small writes can be one message (`write_multiple`).
  var writesMultiple = false
  var migration: Migration?

  /// Everything as the protocol has it by default.
  init() {}

  /// Reads what was said; whatever is not known is passed over.
  init(_ value: JSONValue?) throws(Wrong) {
    guard let value else { return }
    guard case .object(let members) = value else {
      throw Wrong(name: "capabilities", expected: "an object")
    }
    descriptorLimit = try Self.number("max_msg_fds", members) ?? descriptorLimit
    dataLimit = try Self.number("max_data_xfer_size", members) ?? dataLimit
    mapLimit = try Self.number("max_dma_maps", members) ?? mapLimit
    pageSizes = try Self.number("pgsizes", members) ?? pageSizes
    writesMultiple = try Self.truth("write_multiple", members) ?? false
    if let value = members["twin_socket"] {
      guard case .object(let twin) = value else {
        throw Wrong(name: "twin_socket", expected: "an object")
      }
      hasTwinSocket = try Self.truth("supported", twin) ?? false
      twinSocket = try Self.number("fd_index", twin)
    }
    if let value = members["migration"] {
      guard case .object(let values) = value else {
        throw Wrong(name: "migration", expected: "an object")
      }
      var migration = Migration()
      migration.pageSize = try Self.number("pgsize", values) ?? migration.pageSize
      migration.bitmapLimit = try Self.number("max_bitmap_size", values) ?? migration.bitmapLimit
      self.migration = migration
    }
  }

  /// The capabilities as they are sent, a JSON object.
  var text: String {
    var members = [
      "\"max_msg_fds\":\(descriptorLimit)", "\"max_data_xfer_size\":\(dataLimit)",
      "\"max_dma_maps\":\(mapLimit)", "\"pgsizes\":\(pageSizes)",
    ]
    if hasTwinSocket {
      let place = twinSocket.map { ",\"fd_index\":\($0)" } ?? ""
      members.append("\"twin_socket\":{\"supported\":true\(place)}")
    }
    if writesMultiple { members.append("\"write_multiple\":true") }
    if let migration {
      members.append(
        "\"migration\":{\"pgsize\":\(migration.pageSize),"
          + "\"max_bitmap_size\":\(migration.bitmapLimit)}"
      )
    }
    return "{\(members.joined(separator: ","))}"
  }

  private static func number(
    _ name: String,
    _ members: [String: JSONValue]
  ) throws(Wrong) -> UInt64? {
    guard let value = members[name] else { return nil }
    guard case .number(let number?) = value else {
      throw Wrong(name: name, expected: "a whole number")
    }
    return number
  }

  private static func truth(
    _ name: String,
    _ members: [String: JSONValue]
  ) throws(Wrong) -> Bool? {
    guard let value = members[name] else { return nil }
    guard case .truth(let truth) = value else { throw Wrong(name: name, expected: "true or false") }
    return truth
  }
}
