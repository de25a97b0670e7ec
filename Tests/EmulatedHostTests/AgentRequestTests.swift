import Testing

@testable import EmulatedHost

@Suite struct AgentRequestTests {
  @Test func survivesTheTrip() throws {
    let request = AgentRequest(
      arguments: ["run", "/k", "--append", "a  b", ""],
      workingDirectory: "/home/x y",
      folders: [.init(path: "/data,1", isWritable: true), .init(path: "/run/k", isWritable: false)]
    )
    let bytes = request.encoded
    #expect(bytes[0] == UInt8(bytes.count - 4))
    #expect(try AgentRequest(payload: Array(bytes.dropFirst(4))) == request)
  }

  @Test(arguments: ["", "/\u{0}", "/\u{0}9\u{0}", "/\u{0}1\u{0}x/a\u{0}", "/\u{0}-1\u{0}", "abc"])
  func refusesWhatIsNoRequest(payload: String) {
    #expect(throws: EmulatedHostError.self) { try AgentRequest(payload: Array(payload.utf8)) }
  }
}

@Suite struct EmulatedHostTests {
  @Test func commasAndSpacesInPathsSurviveQEMUAndTheKernel() {
    #expect(EmulatedHost.escaped("/a,b") == "/a,,b")
    #expect(EmulatedHost.percentEncoded("/a b%c/é") == "/a%20b%25c/%c3%a9")
  }

  @Test func namesTheImageFileThatIsMissing() {
    let error = #expect(throws: EmulatedHostError.self) {
      try EmulatedHostImage { $0 == "APUS_CACHE" ? "/nowhere" : nil }
    }
    #expect(
      error?.description
        == "the emulated host's /nowhere/emulated-host/vmlinux is missing: run scripts/setup, or set APUS_CACHE to its cache"
    )
  }

  @Test func looksForTheCacheWhereTheScriptsPutIt() {
    #expect(EmulatedHostImage.cache { $0 == "XDG_CACHE_HOME" ? "/c" : nil } == "/c/apus")
    #expect(EmulatedHostImage.cache { $0 == "HOME" ? "/h" : nil } == "/h/.cache/apus")
  }
}
