import Testing

@testable import RemoteDevice

/// The text of a greeting is JSON, or it is refused.
@Suite struct JSONTests {
  private func value(_ text: String) throws -> JSONValue {
    try JSONValue(parsing: Array(text.utf8))
  }

  @Test func everyKindOfValueIsRead() throws {
    let text = """
       {"a": [1, -2, 3.5e+2, 0], "b": {"c": true, "d": false}, "e": null, "f": "x\\n\\u00e9\\ud83d\\ude00",
        "g": 18446744073709551615, "h": 18446744073709551616, "i": [], "j": {}}
      """
    #expect(
      try value(text)
        == .object([
          "a": .list([.number(1), .number(nil), .number(nil), .number(0)]),
          "b": .object(["c": .truth(true), "d": .truth(false)]), "e": .null,
          "f": .text("x\né😀"), "g": .number(.max), "h": .number(nil), "i": .list([]),
          "j": .object([:]),
        ])
    )
  }

  @Test(arguments: [
    "", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "[1,]", "[1",
    "[1 2]",
    "01", "-", "1.", "1e", "+1", ".5", "tru", "nul", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\u{01}\"", "{} {}", "{\"a\":1,\"a\":2}", "NaN", "'a'", "/**/1",
  ])
  func whatIsNoJSONIsRefused(text: String) {
    #expect(throws: JSONError.self) { try value(text) }
  }

  @Test func depthIsLimited() throws {
    _ = try value(String(repeating: "[", count: 16) + String(repeating: "]", count: 16))
    #expect(throws: JSONError.self) {
      try value(String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000))
    }
  }

  @Test func textThatIsNotUTF8IsRefused() {
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
  }

  @Test func capabilitiesAreReadWhateverElseIsThere() throws {
    let text = """
      {"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576,
      "migration": {"pgsize": 4096, "max_bitmap_size": 268435456}, "write_multiple": true, "new": [1],
      "twin_socket": {"supported": true, "fd_index": 0}}, "more": {}}
      """
    guard case .object(let members) = try value(text) else {
      Issue.record("no object")
      return
    }
    var expected = VfioUserCapabilities()
    expected.descriptorLimit = 16
    expected.writesMultiple = true
    expected.hasTwinSocket = true
    expected.twinSocket = 0
    expected.migration = .init()
    let capabilities = try VfioUserCapabilities(members["capabilities"])
    #expect(capabilities == expected)
    #expect(try VfioUserCapabilities(value(capabilities.text)) == expected)
  }

  @Test(arguments: [
    "1", "{\"max_msg_fds\": \"8\"}", "{\"max_msg_fds\": -1}", "{\"max_data_xfer_size\": 1.5}",
    "{\"write_multiple\": 1}", "{\"twin_socket\": true}", "{\"migration\": []}",
    "{\"twin_socket\": {\"fd_index\": \"0\"}}",
  ])
  func capabilitiesOfTheWrongKindAreRefused(text: String) {
    #expect(throws: VfioUserCapabilities.Wrong.self) { try VfioUserCapabilities(value(text)) }
  }
}
