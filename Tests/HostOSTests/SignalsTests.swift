import Glibc
import HostOS
import Testing

@Suite struct SignalsTests {
  @Test func aWakeUpSignalLeavesTheProcessAlone() throws {
    try Signals.installWakeUpHandler(for: SIGUSR2)

    // Without a handler it would end the process.
    #expect(raise(SIGUSR2) == 0)
  }

  @Test func aSignalThatCannotBeHandledIsAnError() {
    #expect(throws: SystemError(call: "sigaction", code: EINVAL, subject: "signal 9")) {
      try Signals.installWakeUpHandler(for: SIGKILL)
    }
  }
}
