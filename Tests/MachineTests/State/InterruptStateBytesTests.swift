import TestSupport
import Testing

@testable import Machine

/// Saved states as bytes: they come back as they were, and of others nothing comes but an error.
@Suite struct InterruptStateBytesTests {
  @Test(arguments: 0..<50 as Range<UInt64>)
  func aStateComesBackAsItWas(seed: UInt64) throws {
    var random = RandomState(seed: seed)
    let state = random.state()
    #expect(try InterruptState(bytes: state.bytes) == state)
  }

  @Test func theLargestStateIsBelowTheLimit() throws {
    var random = RandomState(seed: 0)
    var state = random.state()
    state.lines = (0..<4096).map {
      InterruptState.Line(gsi: .init($0), routes: [.pin(.ioAPIC(1)), .pin(.pic(1))])
    }
    state.messages = (0..<4096).map { (.init($0), .init(address: 1, data: 2)) }
    state.processors = Array(repeating: random.processor(), count: 255)
    #expect(state.bytes.count < InterruptState.sizeLimit)
    #expect(try InterruptState(bytes: state.bytes) == state)
  }

  @Test func whatIsCutShortIsRefused() {
    var random = RandomState(seed: 7)
    var state = random.state()
    state.lines = Array(state.lines.prefix(4))
    let bytes = state.bytes
    for count in 0..<bytes.count {
      let error = #expect(throws: InterruptStateError.self) {
        try InterruptState(bytes: Array(bytes.prefix(count)))
      }
      #expect(error?.description.contains("\n") == false)
    }
    #expect(throws: InterruptStateError.length(expected: bytes.count, found: bytes.count + 1)) {
      try InterruptState(bytes: bytes + [0])
    }
  }

  @Test func whatIsNoStateIsRefused() {
    #expect(throws: InterruptStateError.unknownFormat) { try InterruptState(bytes: []) }
    #expect(throws: InterruptStateError.unknownFormat) {
      try InterruptState(bytes: Array(repeating: 0x41, count: 4096))
    }
    var random = RandomState(seed: 1)
    var bytes = random.state().bytes
    bytes[8] = 2
    #expect(throws: InterruptStateError.version(2)) { try InterruptState(bytes: bytes) }
  }

  /// Every byte, in turn, is another one: without the checksum put right, and with it.
  @Test func whatWasChangedIsRefusedOrIsAnotherState() throws {
    var random = RandomState(seed: 3)
    var state = random.state()
    state.lines = Array(state.lines.prefix(2))
    state.processors = Array(state.processors.prefix(1))
    let bytes = state.bytes
    var refused = 0
    for index in 16..<bytes.count - 4 {
      var changed = bytes
      changed[index] ^= random.number(1...255)
      #expect(throws: InterruptStateError.checksum) { try InterruptState(bytes: changed) }
      let checksum = InterruptState.checksum(changed[16..<changed.count - 4])
      for byte in 0..<4 {
        changed[changed.count - 4 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte))
      }
      do throws(InterruptStateError) {
        let other = try InterruptState(bytes: changed)
        let isSame = other == state
        #expect(!isSame, "byte \(index)")
        // Anything in it can be shown.
        #expect(!other.report.isEmpty)
      } catch {
        refused += 1
        #expect(!error.description.contains("\n"))
      }
    }
    #expect(refused > 20)
  }

  @Test func anyBytesAreRefusedOrAState() {
    for seed in 0..<300 as Range<UInt64> {
      var random = RandomState(seed: seed)
      let content = (0..<random.number(0...2000)).map { _ in
        random.number(0...(seed % 4 == 0 ? 255 : 3)) as UInt8
      }
      var bytes = Array("APUSINTR".utf8) + [1, 0, 0, 0]
      func add(_ number: UInt32) {
        for byte in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(8 * byte))) }
      }
      add(UInt32(content.count))
      bytes += content
      add(InterruptState.checksum(content[...]))
      _ = try? InterruptState(bytes: bytes).report
    }
  }

  /// The check value of CRC-32 (IEEE 802.3).
  @Test func theChecksumIsTheOneOfEthernet() {
    #expect(InterruptState.checksum(Array("123456789".utf8)[...]) == 0xCBF4_3926)
  }
}
