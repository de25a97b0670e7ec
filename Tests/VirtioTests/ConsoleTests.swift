import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct ConsoleTests {
  /// Makes a pipe: what is written to one end comes out of the other.
  private static func makePipe() throws -> (readEnd: Int32, writeEnd: Int32) {
    var ends: [Int32] = [0, 0]
    _ = try retrying("pipe") { pipe(&ends) }
    ends.forEach { _ = fcntl($0, F_SETFL, O_NONBLOCK) }
    return (ends[0], ends[1])
  }

  /// A console whose other ends are in the test's hands.
  private struct Rig {
    let console: Console
    let rig: DeviceRig
    let receive: MockQueue
    let transmit: MockQueue
    let keyboard: Int32
    let screen: Int32

    init(size: (UInt16, UInt16)? = nil) throws {
      let input = try ConsoleTests.makePipe()
      let output = try ConsoleTests.makePipe()
      keyboard = input.writeEnd
      screen = output.readEnd
      console = try Console(
        ConsolePort(
          input: OwnedFileDescriptor(adopting: input.readEnd),
          output: OwnedFileDescriptor(adopting: output.writeEnd)
        ),
        size: size.map { (columns: $0.0, rows: $0.1) }
      )
      rig = try DeviceRig(console)
      try rig.driver.negotiate()
      receive = try rig.driver.makeQueue(0)
      transmit = try rig.driver.makeQueue(1)
      rig.driver.start()
    }

    func type(_ text: String) {
      let bytes = Array(text.utf8)
      _ = write(keyboard, bytes, bytes.count)
    }

    /// Reads from the screen until `count` bytes have come.
    func printed(_ count: Int) throws -> [UInt8] {
      var bytes: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 65536)
      try rig.driver.wait {
        let size = read(screen, &part, part.count)
        if size > 0 { bytes += part[0..<size] }
        return bytes.count >= count
      }
      return bytes
    }

    func close() {
      rig.controller.reset()
      Glibc.close(keyboard)
      Glibc.close(screen)
    }
  }

  @Test func whatTheGuestPrintsComesOut() throws {
    let rig = try Rig()
    defer { rig.close() }
    try rig.rig.memory.write(Array("hello, world".utf8), at: GuestAddress(0x100000))
    let written = try rig.rig.driver.request(
      1,
      rig.transmit,
      [.readable(0x100000, 5), .readable(0x100005, 7)]
    )
    #expect(written == 0)
    #expect(try rig.printed(12) == Array("hello, world".utf8))
  }

  @Test func whatIsTypedComesIn() throws {
    let rig = try Rig()
    defer { rig.close() }
    // Typed before the guest has a buffer, into one, and into the next.
    rig.type("ab")
    try rig.receive.add([.writable(0x100000, 16)])
    try rig.rig.driver.kick(0, rig.receive)
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 2)
    try rig.receive.add([.writable(0x100010, 2)])
    try rig.receive.add([.writable(0x100020, 16)])
    try rig.rig.driver.kick(0, rig.receive)
    rig.type("cde")
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 2)
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 1)
    #expect(try rig.rig.memory.read(at: GuestAddress(0x100000), count: 2) == Array("ab".utf8))
    #expect(try rig.rig.memory.read(at: GuestAddress(0x100010), count: 2) == Array("cd".utf8))
    #expect(try rig.rig.memory.load8(at: GuestAddress(0x100020)) == UInt8(ascii: "e"))
  }

  @Test func moreThanTheOutputTakesWaitsAndIsNotLost() throws {
    let rig = try Rig()
    defer { rig.close() }
    // A pipe holds 64 KiB; print a MiB in one go.
    let bytes = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
    try rig.rig.memory.write(bytes, at: GuestAddress(0x200000))
    try rig.transmit.add([.readable(0x200000, 1 << 20)])
    try rig.rig.driver.kick(1, rig.transmit)
    #expect(try rig.printed(1 << 20) == bytes)
    _ = try rig.rig.driver.waitForUsed(rig.transmit)
  }

  @Test func aBlockedOutputHoldsUpNeitherInputNorReset() throws {
    let rig = try Rig()
    defer { rig.close() }
    try rig.transmit.add([.readable(0x200000, 1 << 20)])
    try rig.rig.driver.kick(1, rig.transmit)
    try rig.receive.add([.writable(0x100000, 16)])
    try rig.rig.driver.kick(0, rig.receive)
    rig.type("x")
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 1)
    rig.rig.transport.status = 0
    #expect(rig.rig.transport.status == 0)
  }

  @Test func whatABlockedOutputHasTakenIsNotPrintedAgainAfterAPause() throws {
    let rig = try Rig()
    defer { rig.close() }
    let text = Self.longText
    try rig.rig.memory.write(text, at: GuestAddress(0x100000))
    try rig.transmit.add([.readable(0x100000, UInt32(text.count))])
    try rig.rig.driver.kick(1, rig.transmit)
    try rig.rig.driver.wait { Self.pending(rig.screen) > 60_000 }

    for _ in 0..<3 {
      rig.rig.controller.pause()
      rig.rig.controller.resume()
    }
    let printed = try rig.printed(text.count)

    #expect(printed == text)
    #expect(try rig.rig.driver.waitForUsed(rig.transmit).written == 0)
    #expect(rig.console.savedState == [])
  }

  @Test func anotherConsoleGoesOnInTheMiddleOfABuffer() throws {
    let memory = try GuestMemory(count: 4 << 20)
    let (first, second) = (try Self.makePipe(), try Self.makePipe())
    let consoles = try [first, second].map {
      try Console(ConsolePort(input: nil, output: OwnedFileDescriptor(adopting: $0.writeEnd)))
    }
    let driver = FunctionStateDriver(try FunctionStateRig(consoles[0], in: memory), in: memory)
    let text = Self.longText
    try memory.write(text, at: GuestAddress(0x100000))
    try driver.driver.negotiate()
    let queue = try driver.driver.makeQueue(1)
    driver.driver.start()
    try queue.add([.readable(0x100000, UInt32(text.count))])
    try driver.driver.kick(1, queue)
    try driver.driver.wait { Self.pending(first.readEnd) > 60_000 }

    try driver.move(to: FunctionStateRig(consoles[1], in: memory))
    driver.rig.transport.resume()

    var printed = try FileIO.read(first.readEnd, atMost: 1 << 17) ?? []
    try driver.driver.wait {
      printed += try FileIO.read(second.readEnd, atMost: 1 << 16) ?? []
      return printed.count >= text.count
    }
    #expect(printed == text)
    _ = (close(first.readEnd), close(second.readEnd))
  }

  @Test func aResetForgetsABufferThatWasPrintedInPart() throws {
    let rig = try Rig()
    defer { rig.close() }
    let text = Self.longText
    try rig.rig.memory.write(text, at: GuestAddress(0x100000))
    try rig.transmit.add([.readable(0x100000, UInt32(text.count))])
    try rig.rig.driver.kick(1, rig.transmit)
    try rig.rig.driver.wait { Self.pending(rig.screen) > 60_000 }

    rig.rig.controller.pause()
    #expect(rig.console.savedState != [])
    rig.console.reset()

    #expect(rig.console.savedState == [])
    for bytes in [[1], [2, 7, 0, 1], Array(repeating: 0xFF, count: 11)] as [[UInt8]] {
      #expect(throws: VirtioStateError.self) { try rig.console.restore(bytes) }
    }
  }

  private static var longText: [UInt8] {
    (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }
  }

  /// How many bytes wait in a pipe.
  private static func pending(_ number: Int32) -> Int32 {
    var count: Int32 = 0
    _ = ioctl(number, UInt(FIONREAD), &count)
    return count
  }

  @Test func aClosedOutputThrowsAwayAndGoesOn() throws {
    let rig = try Rig()
    Glibc.close(rig.screen)
    for _ in 0..<3 { try rig.rig.driver.request(1, rig.transmit, [.readable(0x200000, 9000)]) }
    #expect(rig.rig.log.lines.count == 1)
    rig.rig.controller.reset()
    Glibc.close(rig.keyboard)
  }

  @Test func aClosedInputEndsItQuietly() throws {
    let rig = try Rig()
    Glibc.close(rig.keyboard)
    try rig.receive.add([.writable(0x100000, 16)])
    try rig.rig.driver.kick(0, rig.receive)
    try rig.rig.driver.request(1, rig.transmit, [.readable(0x200000, 1)])
    #expect(try rig.receive.takeUsed() == nil)
    rig.rig.controller.reset()
    Glibc.close(rig.screen)
  }

  @Test func aConsoleWithoutEndsStillWorks() throws {
    let rig = try DeviceRig(Console(ConsolePort(input: nil, output: nil)))
    try rig.driver.negotiate()
    let receive = try rig.driver.makeQueue(0)
    let transmit = try rig.driver.makeQueue(1)
    rig.driver.start()
    try receive.add([.writable(0x100000, 16)])
    try rig.driver.kick(0, receive)
    try rig.driver.request(1, transmit, [.readable(0x200000, 1)])
    #expect(rig.transport.deviceFeatures & 1 == 0)
  }

  @Test func aNewSizeIsAnnounced() throws {
    let rig = try Rig(size: (80, 25))
    defer { rig.close() }
    #expect(rig.rig.transport.deviceFeatures & 1 == 1)
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 4) == 25 << 16 | 80)
    let generation = rig.rig.controller.configurationGeneration
    rig.console.resize(columns: 132, rows: 50)
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 2) == 132)
    #expect(rig.rig.transport.readConfiguration(offset: 2, width: 2) == 50)
    #expect(rig.rig.controller.configurationGeneration != generation)
    #expect(rig.rig.interrupts.changes == 1)
  }
}
