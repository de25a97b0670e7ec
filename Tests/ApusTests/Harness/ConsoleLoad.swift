import GuestMemory
import HostOS
import TestSupport

@testable import Machine

/// A driver and a host that talk over a console's terminal without pause, and keep account of what each has got.
final class ConsoleLoad {
  private static let slots = 8
  private static let size: UInt64 = 0x1000

  private let memory: GuestMemory
  private let host: ConsoleLinkHost
  private let outside: OwnedFileDescriptor
  private let receiving: MockQueue
  private let transmitting: MockQueue
  private let kick: (UInt64) -> Void
  private var places: [UInt32: UInt64] = [:]
  private var freeToRead: [UInt64] = []
  private var freeToWrite: [UInt64] = []
  private(set) var failures: [String] = []
  /// How many bytes each side has said, and the other has got.
  private(set) var (printed, heard, typed, read): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init(
    _ memory: GuestMemory,
    _ host: ConsoleLinkHost,
    outside: consuming OwnedFileDescriptor,
    receiving: MockQueue,
    transmitting: MockQueue,
    _ kick: @escaping (UInt64) -> Void
  ) {
    self.memory = memory
    self.host = host
    self.outside = outside
    self.receiving = receiving
    self.transmitting = transmitting
    self.kick = kick
    freeToRead = (0..<Self.slots).map { 0x100000 + UInt64($0) * Self.size }
    freeToWrite = (0..<Self.slots).map { 0x200000 + UInt64($0) * Self.size }
  }

  /// Talks for so long.
  func run(for duration: Duration) throws {
    let end = ContinuousClock.now + duration
    while ContinuousClock.now < end {
      try type()
      try print()
      try reap()
    }
  }

  /// Waits until each has got all that the other has said.
  func finish() throws -> Bool {
    try waitUntil {
      try reap()
      return heard == printed && read == typed
    }
  }

  private static func byte(_ position: UInt64) -> UInt8 {
    UInt8(truncatingIfNeeded: position &* 31 ^ position >> 8 ^ position >> 16)
  }

  private func print() throws {
    while let place = freeToWrite.popLast() {
      let count = UInt64.random(in: 1...Self.size)
      let bytes = (0..<count).map { Self.byte(printed + $0) }
      try memory.write(bytes, at: GuestAddress(place))
      printed += count
      let half = UInt32(count / 2)
      let buffers: [MockBuffer] =
        half == 0
        ? [.readable(place, UInt32(count))]
        : [.readable(place, half), .readable(place + UInt64(half), UInt32(count) - half)]
      places[UInt32(try transmitting.add(buffers))] = place
    }
    if try transmitting.needsKick() { kick(1) }
  }

  private func type() throws {
    let bytes = (0..<UInt64.random(in: 1...6000)).map { Self.byte(typed + $0) }
    // What there is no room for is typed later.
    typed += UInt64(host.send(bytes[...], to: 0))
  }

  private func reap() throws {
    while let place = freeToRead.popLast() {
      let id = try receiving.add([.writable(place, UInt32.random(in: 1...UInt32(Self.size)))])
      received[UInt32(id)] = place
    }
    if try receiving.needsKick() { kick(0) }
    while let used = try receiving.takeUsed() {
      guard let place = received.removeValue(forKey: used.head) else {
        return failures.append("buffer \(used.head) came back though it was not out")
      }
      for byte in try memory.read(at: GuestAddress(place), count: Int(used.written)) {
        check(byte, &read, "typed")
      }
      freeToRead.append(place)
    }
    while let used = try transmitting.takeUsed() {
      guard let place = places.removeValue(forKey: used.head) else {
        return failures.append("chain \(used.head) came back though it was not out")
      }
      freeToWrite.append(place)
    }
    while let bytes = try FileIO.read(outside.rawValue, atMost: 1 << 16), !bytes.isEmpty {
      for byte in bytes { check(byte, &heard, "printed") }
    }
  }
  private var received: [UInt32: UInt64] = [:]

  private func check(_ byte: UInt8, _ position: inout UInt64, _ what: String) {
    if byte != Self.byte(position), failures.count < 5 {
      failures.append("byte \(position) of what was \(what) is \(byte)")
    }
    position += 1
  }
}
