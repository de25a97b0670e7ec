import Glibc
import HostOS
import Platform
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct HostClockTests {
  @Test func aTimerExpiresOnceAndNotBeforeItsTime() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let timer = clock.makeTimer()
    timer.whenExpired { event.signal() }
    let deadline = clock.monotonic + 2_000_000

    timer.arm(at: deadline)

    #expect(isReadable(event.rawValue, within: 10_000))
    #expect(clock.monotonic >= deadline)
    #expect(event.drain() == 1)
    #expect(!isReadable(event.rawValue, within: 20))
  }

  @Test func aDisarmedTimerDoesNotExpire() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let timer = clock.makeTimer()
    timer.whenExpired { event.signal() }
    timer.arm(at: clock.monotonic + 30_000_000)

    timer.disarm()

    #expect(!isReadable(event.rawValue, within: 60))
  }

  @Test func anEarlierTimerOvertakesALaterOne() throws {
    let clock = try HostClock()
    let event = try EventFD()
    let late = clock.makeTimer()
    let early = clock.makeTimer()
    early.whenExpired { event.signal() }
    late.arm(at: clock.monotonic + 600_000_000_000)

    early.arm(at: clock.monotonic + 1_000_000)

    #expect(isReadable(event.rawValue, within: 10_000))
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

    #expect(isReadable(event.rawValue, within: 10_000))
    event.drain()
    #expect(isReadable(event.rawValue, within: 10_000))
  }

  @Test func theRealTimeIsTheHosts() throws {
    let clock = try HostClock()

    #expect(abs(clock.realTime / 1_000_000_000 - Int64(time(nil))) <= 1)
  }
}
