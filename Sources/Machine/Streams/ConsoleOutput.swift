import HostOS
import Logging
import Virtio

/// What a console's process says on one port, on its way to the host's end; owned by one thread.
///
/// The process may have been taken over by its guest. One that goes on where another died sends again what that one may
/// have sent, and each byte goes out once.
struct ConsoleOutput: ~Copyable {
  // The most that a chain of the guest's could have said before it is begun anew.
  private static var repetitionLimit: UInt64 { 1 << 32 }
  // How many empty packets may come one after the other: the socket's other end is open here, too, so that a process can send
  // them, and make a real end only where no sandbox forbids it.
  private static var emptyLimit: Int { 4096 }
  // A pipe that polls writable takes this much at once (pipe(7), PIPE_BUF).
  private static var chunk: Int { 4096 }

  private let end: ConsoleLinkEnd
  private let name: String
  private var position: UInt64 = 0
  private var pending: ArraySlice<UInt8> = []
  private var frame = [UInt8](repeating: 0, count: ConsoleFrame.header + ConsoleFrame.limit)
  private var hasEnded = false
  private var emptyCount = 0
  private var isDiscarded: Bool

  init(_ end: ConsoleLinkEnd, name: String) {
    self.end = end
    self.name = name
    isDiscarded = end.output == nil
  }

  /// Whether all that was read has gone out.
  var isDrained: Bool { pending.isEmpty }

  /// Adds what it waits for to a list.
  func register(in list: inout PollList) -> Int? {
    if !pending.isEmpty { return end.output.borrow { list.add($0.rawValue, for: .writable) } }
    return hasEnded ? nil : list.add(end.near.rawValue, for: .readable)
  }

  /// Moves what can be moved now.
  ///
  /// - Returns: How many bytes were read or written.
  mutating func advance(_ logger: Logger) -> Int {
    guard pending.isEmpty else { return write(logger) }
    switch try? PacketIO.receive(end.near.rawValue, into: &frame) {
    case .packet(let count)?:
      emptyCount = 0
      take(count)
      return count
    case .end? where emptyCount < Self.emptyLimit:
      emptyCount += 1
      return 0
    case .nothing?: return 0
    case .end?, nil:
      hasEnded = true
      logger.error("\(name): its process has broken the connection: what the guest prints is lost")
      return 0
    }
  }

  private mutating func take(_ count: Int) {
    guard let first = ConsoleFrame.position(frame, count: count) else { return }
    let length = UInt64(count - ConsoleFrame.header)
    let known = position &- first
    // What lies further back is no repetition: the stream begins there.
    let skipped = known <= Self.repetitionLimit ? min(known, length) : 0
    if known > Self.repetitionLimit || known < length { position = first &+ length }
    guard !isDiscarded else { return }
    pending = frame[(ConsoleFrame.header + Int(skipped))..<count]
  }

  private mutating func write(_ logger: Logger) -> Int {
    do throws(SystemError) {
      let part = pending.prefix(Self.chunk)
      let written = try end.output.borrow { (output) throws(SystemError) in
        try FileIO.write(output.rawValue, part)
      }
      pending = pending.dropFirst(written ?? part.count)
      return written ?? 0
    } catch {
      logger.warning("\(name): the output is closed: what the guest prints is thrown away")
      isDiscarded = true
      pending = []
      return 0
    }
  }
}
