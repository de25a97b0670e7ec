import Glibc
import GuestMemory
import HostOS
import Synchronization

/// A connection of a ``StreamBackend``, with what of a frame has come, and what of one has yet to go.
///
/// One thread at a time uses it; the lock is there for the next one, after the guest began anew, and
/// nobody ever waits for it.
final class StreamConnection: Sendable {
  private let receiving: OwnedFileDescriptor
  // A descriptor of its own, since a poller can wait for each in one way only.
  private let sending: OwnedFileDescriptor
  private let state: Mutex<State>

  private struct State {
    var input = StreamInput()
    /// What is left of a frame of which a part has gone.
    var output: ArraySlice<UInt8> = []

    /// Writes it; false if there is no room for all of it.
    mutating func flush(to number: Int32) throws(SystemError) -> Bool {
      while !output.isEmpty {
        let size = try FileIO.write(number, output)
        guard size > 0 else { return false }
        output = output.dropFirst(size)
      }
      return true
    }
  }

  /// What came of a look for a frame.
  enum Received {
    /// One of so many bytes.
    case frame(Int)
    /// None before the descriptor with this number is readable.
    case mustWait(Int32)
    /// The other end is gone, or says what makes no sense.
    case broken(String)
  }

  init(_ descriptor: consuming OwnedFileDescriptor) throws(SystemError) {
    try FileIO.setNonBlocking(descriptor.rawValue)
    sending = try descriptor.duplicated()
    receiving = descriptor
    state = Mutex(State())
  }

  /// Ends the connection for both sides; the descriptors stay open.
  func shutDown() { _ = Glibc.shutdown(receiving.rawValue, Int32(SHUT_RDWR)) }

  /// Takes the next frame: an empty header and then the frame go to `buffers`, what does not fit to
  /// `overflow`.
  func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> Received {
    let number = receiving.rawValue
    return state.withLock { state in
      while true {
        switch state.input.next() {
        case .frame(let range):
          Self.copy(state.input.bytes, range, into: &buffers, &overflow)
          return .frame(range.count)
        case .tooLong(let count):
          return .broken("sends a frame of \(count) bytes, more than \(NetHeader.largestFrame)")
        case .incomplete: break
        }
        do throws(SystemError) {
          guard let count = try state.input.fill(from: number) else { return .mustWait(number) }
          if count == 0 { return .broken("is closed") }
        } catch {
          return .broken("is gone (\(error.reason))")
        }
      }
    }
  }

  /// Sends a frame, or nothing of it where there is no room.
  func send(_ frame: inout GuestIOVector) -> NetSent {
    let number = sending.rawValue
    return state.withLock { state in
      do throws(SystemError) {
        guard try state.flush(to: number) else { return .mustWait(number) }
        let length = StreamInput.length(Int(frame.count))
        guard let size = try frame.send(to: number, after: length) else {
          return .mustWait(number)
        }
        // Where a part of it has gone, the rest goes first, whoever sends next.
        let left = length.count + Int(frame.count) - size
        if left > 0 { state.output = Self.tail(left, of: frame, after: length)[...] }
        return .sent
      } catch {
        return .dropped(error.reason)
      }
    }
  }

  /// Sends what is left of a frame of which a part has gone.
  func flush() -> NetSent {
    let number = sending.rawValue
    return state.withLock { state in
      do throws(SystemError) {
        return try state.flush(to: number) ? .sent : .mustWait(number)
      } catch {
        state.output = []
        return .dropped(error.reason)
      }
    }
  }

  private static func copy(
    _ input: [UInt8],
    _ range: Range<Int>,
    into buffers: inout GuestIOVector,
    _ overflow: inout [UInt8]
  ) {
    let header = [UInt8](repeating: 0, count: NetHeader.size)
    // SAFETY: `UInt8` has no padding.
    let done = unsafe buffers.store(header.span.bytes, at: 0)
    precondition(done == header.count, "buffers without room for a header")
    let bytes = unsafe input.span.bytes.extracting(range)
    let stored = buffers.store(bytes, at: UInt64(NetHeader.size))
    for index in stored..<range.count {
      overflow[index - stored] = input[range.lowerBound + index]
    }
  }

  /// The last `count` bytes of `length` and the frame.
  private static func tail(
    _ count: Int,
    of frame: borrowing GuestIOVector,
    after length: [UInt8]
  ) -> [UInt8] {
    let total = length.count + Int(frame.count)
    let skipped = max(total - count - length.count, 0)
    var rest = [UInt8](repeating: 0, count: Int(frame.count) - skipped)
    var span = rest.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var bytes = unsafe span.mutableBytes
    _ = frame.load(at: UInt64(skipped), into: &bytes)
    return length.suffix(max(count - Int(frame.count), 0)) + rest
  }
}
