import Glibc
import HostOS
import Synchronization
import Testing

@Suite struct ThreadTests {
  @Test func runsItsBodyBeforeJoinReturns() throws {
    let ran = Flag()
    let thread = try Thread("test") { ran.value.store(true, ordering: .releasing) }
    thread.join()
    #expect(ran.isSet)
  }

  @Test func droppingTheHandleWaitsForTheThread() throws {
    let ran = Flag()
    do { _ = try Thread("test") { ran.value.store(true, ordering: .releasing) } }
    #expect(ran.isSet)
  }
}

private final class Flag: Sendable {
  let value = Atomic(false)

  var isSet: Bool { value.load(ordering: .acquiring) }
}

@Suite struct PollerTests {
  @Test func reportsTheTokenOfAReadyDescriptor() throws {
    let poller = try Poller()
    let (quiet, rung) = (try EventFD(), try EventFD())
    try poller.add(quiet.rawValue, token: 7)
    try poller.add(rung.rawValue, token: 1 << 40)
    rung.signal()
    var tokens: [UInt64] = []
    try poller.wait(timeout: 1000) { tokens.append($0.token) }
    #expect(tokens == [1 << 40])
  }

  @Test func timesOutWhenNothingIsReady() throws {
    let poller = try Poller()
    let event = try EventFD()
    try poller.add(event.rawValue, token: 1)
    var count = 0
    try poller.wait(timeout: 0) { _ in count += 1 }
    #expect(count == 0)
  }

  @Test func namesTheDescriptorItCannotWaitFor() throws {
    let poller = try Poller()
    let error = #expect(throws: SystemError.self) { try poller.add(-1, token: 0) }
    #expect(error?.description == "epoll_ctl descriptor -1: Bad file descriptor (errno 9)")
  }
}

@Suite struct ThreadSignalTests {
  private func isBlocked(_ signal: Int32) -> Bool {
    var mask = sigset_t()
    _ = unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
    return unsafe sigismember(&mask, signal) == 1
  }

  // A fault whose signal is blocked kills without its handler, and the terminal stays raw.
  @Test func aThreadLetsTheSignalsOfItsOwnFaultsThrough() throws {
    let blocked = Mutex<[Int32]>([])
    let thread = try Thread("signals") {
      let found = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGTERM, SIGINT].filter(isBlocked)
      blocked.withLock { $0 = found }
    }
    thread.join()
    #expect(blocked.withLock { $0 } == [SIGTERM, SIGINT])
  }
}

@Suite struct EventFDTests {
  @Test func drainTakesTheWholeCount() throws {
    let event = try EventFD()
    event.signal()
    event.signal()
    #expect(event.drain() == 2)
    #expect(event.drain() == 0)
  }
}
