import HostOS
import Synchronization
import TestSupport
import Testing

@testable import Interrupts

/// The thread that waits for eventfds.
@Suite struct InterruptEventLoopTests {
  private final class Holder: Sendable {
    let loop: Mutex<InterruptEventLoop?>
    init(_ loop: InterruptEventLoop) { self.loop = Mutex(loop) }
  }

  @Test func actionsRunOnItsThreadUntilTheyAreRemoved() throws {
    let loop = try InterruptEventLoop()
    let event = try EventFD()
    let thread = Atomic<Int32>(0)
    let token = loop.makeToken()
    try loop.add(event, token: token) {
      guard event.drain() > 0 else { return }
      thread.store(Thread.currentID, ordering: .relaxed)
    }
    event.signal()
    #expect(waitUntil { thread.load(ordering: .relaxed) != 0 })
    #expect(thread.load(ordering: .relaxed) != Thread.currentID)
    loop.remove(token)
    loop.remove(token)
    #expect(loop.count == 0)
    event.signal()
    #expect(event.drain() == 1)
  }

  @Test func moreEventfdsThanAPollReportsAreAllServed() throws {
    let loop = try InterruptEventLoop()
    let events = try (0..<100).map { _ in try EventFD() }
    let count = Shared()
    for event in events {
      event.signal()
      try loop.add(event, token: loop.makeToken()) { if event.drain() > 0 { count.add() } }
    }
    #expect(waitUntil { count.value == 100 })
  }

  @Test func whatCannotBeWaitedForIsRefusedAndForgotten() throws {
    let loop = try InterruptEventLoop()
    let file = try OwnedFileDescriptor(opening: "/proc/self/status", 0)
    let event = EventFD(adopting: file)
    #expect(throws: SystemError.self) { try loop.add(event, token: loop.makeToken()) {} }
    #expect(loop.count == 0)
  }

  /// An action may hold the last of the loop, whose thread must not wait for itself.
  @Test func itMayEndOnItsOwnThread() throws {
    let event = try EventFD()
    let isDone = Shared()
    weak var weakLoop: InterruptEventLoop?
    do {
      let loop = try InterruptEventLoop()
      weakLoop = loop
      let holder = Holder(loop)
      try loop.add(event, token: loop.makeToken()) {
        guard event.drain() > 0 else { return }
        // Until the test has let go of it.
        _ = waitUntil { isDone.value == 1 }
        holder.loop.withLock { $0 = nil }
        isDone.add()
      }
    }
    #expect(weakLoop != nil)
    event.signal()
    isDone.add()
    #expect(waitUntil { isDone.value == 2 })
    #expect(weakLoop == nil)
    // Its thread ends, and lets go of what it waited for.
    #expect(try waitUntil { try event.descriptorCount() == 1 })
  }
}
