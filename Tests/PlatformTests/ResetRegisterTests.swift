import Platform
import Testing

@Suite struct ResetRegisterTests {
  private let system = RecordingSystem()
  private let register: ResetRegister

  init() { register = ResetRegister(system: system) }

  @Test(arguments: [UInt64(0x06), 0x0E, 0x04])
  func aRiseOfBitTwoResetsTheMachine(value: UInt64) {
    register.write(0, value)

    #expect(system.events == [.reset])
    #expect(register.read(0) == 0)
  }

  @Test func choosingTheKindOfResetDoesNotReset() {
    register.write(0, 0x02)

    #expect(system.events == [])
    #expect(register.read(0) == 0x02)
  }

  @Test func theTwoStepsOfADriverResetOnce() {
    register.write(0, 0x02)
    register.write(0, 0x06)

    #expect(system.events == [.reset])
  }
}
