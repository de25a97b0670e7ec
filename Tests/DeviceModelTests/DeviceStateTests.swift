import DeviceModel
import Testing

/// What a device saves, and what it makes of bytes that nobody has saved.
@Suite struct DeviceStateTests {
  private func state() -> [UInt8] {
    var writer = StateWriter(version: 3)
    writer.append(0x1122 as UInt16)
    writer.append(true)
    writer.append([1, 2, 3])
    return writer.bytes
  }

  @Test func whatWasWrittenIsReadInOrder() throws {
    var reader = try StateReader(state(), version: 3)
    #expect(try reader.next(UInt16.self) == 0x1122)
    #expect(try reader.nextFlag())
    #expect(try reader.nextBytes(count: 3) == [1, 2, 3])
    try reader.end()
  }

  @Test func numbersAreLittleEndian() {
    #expect(state() == [3, 0, 0, 0, 0x22, 0x11, 1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3])
  }

  @Test func anotherVersionIsRefused() {
    #expect(throws: DeviceStateError.version(3, known: 4)) {
      _ = try StateReader(state(), version: 4)
    }
    #expect(throws: DeviceStateError.truncated(at: 2, count: 4)) {
      _ = try StateReader([1, 2], version: 1)
    }
  }

  @Test func whatIsNotAllThereOrTooMuchIsRefused() throws {
    var reader = try StateReader(state(), version: 3)
    #expect(throws: DeviceStateError.trailing(14)) { try reader.end() }
    _ = try reader.next(UInt16.self)
    _ = try reader.nextFlag()
    #expect(throws: DeviceStateError.badValue("3 bytes where 4 should be")) {
      _ = try reader.nextBytes(count: 4)
    }
    // The number of bytes was taken; the three are left.
    #expect(throws: DeviceStateError.truncated(at: 18, count: 4)) {
      _ = try reader.next(UInt32.self)
    }
  }

  @Test func aTruthValueIsZeroOrOne() throws {
    var reader = try StateReader([1, 0, 0, 0, 2], version: 1)
    #expect(throws: DeviceStateError.badValue("2 where 0 or 1 should be")) {
      _ = try reader.nextFlag()
    }
  }
}
