/// The version of the protocol that one end speaks, and what it can do.
struct VfioUserVersion: Equatable, Sendable {
  var major: UInt16 = 0
  var minor: UInt16 = 0
  var capabilities = VfioUserCapabilities()

  /// Says what this end can do.
  init(major: UInt16 = 0, minor: UInt16 = 0, _ capabilities: VfioUserCapabilities) {
    self.major = major
    self.minor = minor
    self.capabilities = capabilities
  }

  /// Reads a payload that at least has its fixed part; text may be left out.
  init(_ form: VfioUserForm) throws(VfioUserError) {
    major = form.bytes.word(at: 0)
    minor = form.bytes.word(at: 2)
    let text = form.bytes.array[4...]
    guard !text.isEmpty else { return }
    guard text.last == 0 else { throw .badValue(form.command, "text without its end") }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: text.dropLast())
    } catch {
      throw .badValue(form.command, "\(error)")
    }
    guard case .object(let members) = value else {
      throw .badValue(form.command, "text that is no JSON object")
    }
    do throws(VfioUserCapabilities.Wrong) {
      capabilities = try VfioUserCapabilities(members["capabilities"])
    } catch {
      throw .badValue(form.command, "capability \(error.name) is not \(error.expected)")
    }
  }

  /// The payload as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    bytes.append(major)
    bytes.append(minor)
    bytes.append("{\"capabilities\":\(capabilities.text)}".utf8)
    bytes.append([0] as [UInt8])
    return bytes.array
  }
}
