import Platform
import Testing

@Suite struct KeyboardControllerTests {
  private let system = RecordingSystem()
  private let controller: KeyboardController

  init() { controller = KeyboardController(system: system) }

  private var status: UInt64 { controller.read(0, region: 1) }
  private func command(_ value: UInt64) { controller.write(0, value, region: 1) }
  private func send(_ value: UInt64) { controller.write(0, value) }

  @Test(arguments: [UInt64(0xFE), 0xF0, 0xFC])
  func pulsingTheResetLineResetsTheMachine(value: UInt64) {
    command(value)

    #expect(system.events == [.reset])
  }

  @Test(arguments: [UInt64(0xFF), 0xF1, 0xAA, 0xDD])
  func otherCommandsDoNotReset(value: UInt64) {
    command(value)

    #expect(system.events == [])
  }

  @Test func pullingTheResetLineThroughTheOutputPortResets() {
    command(0xD1)
    send(0x02)

    #expect(system.events == [.reset])
  }

  @Test func openingTheA20GateDoesNotReset() {
    command(0xD1)
    send(0xDF)
    command(0xD0)

    #expect(system.events == [])
    #expect(controller.read(0) == 0xDF)
  }

  @Test func anIdleControllerIsReadyForInputAndHasNoOutput() {
    #expect(status & 0x03 == 0)
  }

  @Test func theSelfTestPassesAndIsRemembered() {
    command(0xAA)

    #expect(status & 0x05 == 0x05)
    #expect(controller.read(0) == 0x55)
    #expect(status & 0x05 == 0x04)
  }

  @Test func theConfigurationByteReadsBackAsWritten() {
    command(0x60)
    send(0x47)
    command(0x20)

    #expect(controller.read(0) == 0x47)
  }

  @Test func aKeyboardCommandTimesOutAtOnce() {
    send(0xFF)

    #expect(status & 0x41 == 0x41)
    #expect(controller.read(0) == 0xFE)
  }

  @Test func theMousePortTestFails() {
    command(0xA9)

    #expect(controller.read(0) == 0x01)
  }

  @Test func disablingAndEnablingAPortShowsInTheConfiguration() {
    command(0xAE)
    command(0xA8)
    command(0x20)

    #expect(controller.read(0) == 0x00)
  }
}
