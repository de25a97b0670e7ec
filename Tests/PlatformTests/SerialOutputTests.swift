import DeviceModel
import Glibc
import HostOS
import Platform
import Synchronization
import TestSupport
import Testing

/// Output into real descriptors.
@Suite(.timeLimit(.minutes(5))) struct SerialOutputTests {
  /// Both ends of a pipe; the reading end does not block.
  private struct Pipe: ~Copyable {
    let reader: OwnedFileDescriptor
    private let ends: (Int32, Int32)

    init() throws {
      var ends: (Int32, Int32) = (0, 0)
      try #require(
        withUnsafeMutablePointer(to: &ends) {
          $0.withMemoryRebound(to: Int32.self, capacity: 2) { pipe($0) }
        } == 0
      )
      reader = OwnedFileDescriptor(adopting: ends.0)
      _ = fcntl(ends.0, F_SETFL, O_NONBLOCK)
      self.ends = ends
    }

    func takeWriter() -> OwnedFileDescriptor { OwnedFileDescriptor(adopting: ends.1) }

    /// Reads until `count` bytes have come, or nothing has for two seconds.
    func read(_ count: Int) -> [UInt8] {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      while bytes.count < count {
        var waited = pollfd(fd: reader.rawValue, events: Int16(POLLIN), revents: 0)
        guard poll(&waited, 1, 2000) > 0 else { break }
        let got = Glibc.read(reader.rawValue, &buffer, min(buffer.count, count - bytes.count))
        guard got > 0 else { break }
        bytes += buffer[..<got]
      }
      return bytes
    }
  }

  private func send(_ text: String, to output: SerialOutput) {
    text.utf8.forEach { #expect(output.transmit($0)) }
  }

  @Test func aLineIsWrittenAtOnce() throws {
    let pipe = try Pipe()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: ManualClock())

    send("hello\n", to: output)

    #expect(pipe.read(6) == Array("hello\n".utf8))
  }

  @Test func aPromptIsWrittenAfterAShortWhile() throws {
    let pipe = try Pipe()
    let clock = ManualClock()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: clock)
    send("$ ", to: output)

    clock.advance(nanoseconds: SerialOutput.patience)

    #expect(pipe.read(2) == Array("$ ".utf8))
  }

  @Test func aPromptIsWrittenInRealTimeToo() throws {
    let pipe = try Pipe()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: HostClock())

    send("$ ", to: output)

    #expect(pipe.read(2) == Array("$ ".utf8))
  }

  @Test func aBatchIsWrittenWithoutALineFeed() throws {
    let pipe = try Pipe()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: ManualClock())
    let text = String(repeating: "x", count: SerialOutput.batch)

    send(text, to: output)

    #expect(pipe.read(text.utf8.count) == Array(text.utf8))
  }

  @Test func whatIsLeftIsWrittenAtTheEnd() throws {
    let pipe = try Pipe()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: HostClock())
    send("bye", to: output)

    output.finish()

    #expect(pipe.read(3) == Array("bye".utf8))
    #expect(pipe.read(1) == [])
  }

  @Test func aReaderThatStallsHoldsThePortBackAndLosesNothing() throws {
    let pipe = try Pipe()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: HostClock())
    let isReady = Mutex(false)
    output.whenReady { isReady.withLock { $0 = true } }
    var sent: [UInt8] = []

    // Fills the pipe and both buffers, until a refusal stands for a while.
    var next: UInt8 = 0
    var refusals = 0
    while refusals < 50 {
      if output.transmit(next) {
        sent.append(next)
        next &+= 1
        refusals = 0
      } else {
        refusals += 1
        usleep(2000)
      }
    }
    isReady.withLock { $0 = false }
    #expect(!output.transmit(next))
    let received = pipe.read(sent.count)

    #expect(received == sent)
    #expect(isReady.withLock { $0 })
    #expect(output.transmit(next))
  }

  @Test func aStalledReaderDoesNotHoldUpTheEnd() throws {
    let pipe = try Pipe()
    let clock = try HostClock()
    let output = try SerialOutput(to: pipe.takeWriter(), clock: clock)
    var refusals = 0
    while refusals < 20 {
      if !output.transmit(0x0A) {
        refusals += 1
        usleep(1000)
      }
    }
    let start = clock.monotonic

    output.finish(within: 50)

    #expect(clock.monotonic - start < 5_000_000_000)
  }

  @Test func aReaderThatHasGoneNeitherStopsTheGuestNorTheProcess() throws {
    let output: SerialOutput
    do {
      let pipe = try Pipe()
      output = try SerialOutput(to: pipe.takeWriter(), clock: HostClock())
    }

    let refused = (0..<200_000).count { _ in !output.transmit(0x0A) }

    #expect(refused < 200_000)
    usleep(50_000)
    #expect(output.transmit(0x0A))
  }
}
