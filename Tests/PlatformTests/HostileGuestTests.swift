import DeviceModel
import Platform
import TestSupport
import Testing

/// Whatever a guest does to the registers, the machine neither traps nor hangs.
@Suite(.timeLimit(.minutes(5))) struct HostileGuestTests {
  private final class Lines: TestLines {
    func setLine(_ line: Int, to level: Bool) {}
  }

  /// A device, made anew for each test.
  struct Kind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable (ManualClock) -> any BusDevice
  }

  private static let kinds: [Kind] = [
    Kind(testDescription: "serial port") {
      Serial16550(line: RecordingLine(), backend: RecordingBackend(room: 5000), clock: $0)
    },
    Kind(testDescription: "real-time clock") { RealTimeClock(line: RecordingLine(), clock: $0) },
    Kind(testDescription: "keyboard controller") { _ in
      KeyboardController(system: RecordingSystem())
    },
    Kind(testDescription: "reset register") { _ in ResetRegister(system: RecordingSystem()) },
    Kind(testDescription: "power management") {
      ACPIPowerManagement(line: RecordingLine(), clock: $0, system: RecordingSystem())
    },
    Kind(testDescription: "debug exit") { _ in DebugExit(system: RecordingSystem()) },
    Kind(testDescription: "test device") { _ in TestDevice(lines: Lines()) },
    Kind(testDescription: "firmware configuration") { _ in
      FirmwareConfiguration(memorySize: 1 << 30, processorCount: 1, memoryMap: [])
    },
  ]

  @Test(arguments: kinds, [UInt64(1), 2, 3])
  func accessesOfAnyKindLeaveTheDeviceAnswering(kind: Kind, seed: UInt64) {
    var random = SplitMix(state: seed)
    let clock = ManualClock(seconds: 1_700_000_000)
    let device = kind.make(clock)

    for _ in 0..<20_000 {
      let wild = random.next() % 64 == 0
      let access = BusAccess(
        region: Int(random.next() % 3),
        offset: wild ? random.next() : random.next() % 16,
        width: 1 << Int(random.next() % 4)
      )
      let mask = UInt64.max >> (64 - 8 * UInt64(access.width))
      if random.next() % 2 == 0 {
        device.write(random.next() & mask, access)
      } else {
        #expect(device.read(access) & ~mask == 0)
      }
      if random.next() % 32 == 0 { clock.advance(nanoseconds: random.next() % 50_000_000) }
    }
  }

  /// A generator whose numbers are the same in every run.
  private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
      return value ^ value >> 31
    }
  }
}
