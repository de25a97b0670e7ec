import Glibc
import HostOS
import Platform
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct HostClockTests {
  private func waitForSignal(of event: EventFD, milliseconds: Int32) -> Bool {
    var waited = pollfd(fd: event.rawValue, events: Int16(POLLIN), revents: 0)
    return poll(&waited, 1, milliseconds) == 1
  }

  @Test func aTimerExpiresOnceAndNotBeforeItsTime() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let timer = clock.makeTimer()
    timer.whenExpired { event.signal() }
    let deadline = clock.monotonic + 2_000_000

    timer.arm(at: deadline)

    #expect(waitForSignal(of: event, milliseconds: 10_000))
    #expect(clock.monotonic >= deadline)
    #expect(event.drain() == 1)
    #expect(!waitForSignal(of: event, milliseconds: 20))
  }

  @Test func aDisarmedTimerDoesNotExpire() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let timer = clock.makeTimer()
    timer.whenExpired { event.signal() }
    timer.arm(at: clock.monotonic + 30_000_000)

    timer.disarm()

    #expect(!waitForSignal(of: event, milliseconds: 60))
  }

  @Test func anEarlierTimerOvertakesALaterOne() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let late = clock.makeTimer()
    let early = clock.makeTimer()
    early.whenExpired { event.signal() }
    late.arm(at: clock.monotonic + 600_000_000_000)

    early.arm(at: clock.monotonic + 1_000_000)

    #expect(waitForSignal(of: event, milliseconds: 10_000))
  }

  @Test func aTimerMayArmItselfAgain() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let timer = clock.makeTimer()
    timer.whenExpired { [weak timer] in
      event.signal()
      timer?.arm(at: 0)
    }

    timer.arm(at: 0)

    #expect(waitForSignal(of: event, milliseconds: 10_000))
    event.drain()
    #expect(waitForSignal(of: event, milliseconds: 10_000))
  }

  @Test func theRealTimeIsTheHosts() throws {
    let clock = try HostClock()

    #expect(abs(clock.realTime / 1_000_000_000 - Int64(time(nil))) <= 1)
  }
}
