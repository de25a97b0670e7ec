import HostOS
import Synchronization

/// A port's end in the console's own process: a socket of packets, and records for a process that goes on after this one's death.
///
/// The thread of the queues calls, and whoever ends it.
final class ConsoleLinkPort: Sendable {
  private struct State {
    /// The position up to which the guest has the input; `nil` as long as no queue has told where it stands.
    var input: UInt64?
    /// The position up to which the output of the chain under way was sent, and where that began.
    var output: UInt64?
    var outputStart: UInt64 = 0
    /// The position up to which output was ever sent.
    var furthest: UInt64 = 0
    /// Whether what a process before has noted is about queues that go on.
    var trusted: [ConsoleLinkMemory.Direction: Bool] = [:]
    var frame = [UInt8](repeating: 0, count: ConsoleFrame.header + ConsoleFrame.limit)
  }

  // Packets of nobody's making that are passed over at once.
  private static var skipLimit: Int { 64 }

  private let socket: OwnedFileDescriptor
  private let memory: ConsoleLinkMemory
  private let number: Int
  private let state = Mutex(State())

  init(_ socket: consuming OwnedFileDescriptor, _ number: Int, _ memory: ConsoleLinkMemory) {
    self.socket = socket
    self.number = number
    self.memory = memory
  }

  /// Queues are served from now on; says of each whether it goes on where another process died.
  func begin(input: Bool, output: Bool) {
    state.withLock { $0.trusted = [.input: input, .output: output] }
  }

  /// The chains of before are gone.
  func forget(_ direction: ConsoleLinkMemory.Direction) {
    state.withLock { state in
      switch direction {
      case .input:
        guard let input = state.input else { return state.trusted[.input] = false }
        note(.input, nil, input, input)
      case .output:
        guard state.output != nil else { return state.trusted[.output] = false }
        state.output = state.furthest
        state.outputStart = state.furthest
        note(.output, nil, state.furthest, state.furthest)
      }
    }
  }

  // MARK: Input

  /// Whether something has come that the guest has not got.
  var hasInput: Bool {
    state.withLock { state in
      guard case .packet? = find(&state, state.input) else { return false }
      return true
    }
  }

  /// Reads what has come, at most `count` bytes, to the front of `buffer`, for the chain that the queue completes at `place`.
  func read(into buffer: inout [UInt8], count: Int, at place: UInt16) -> ConsolePort.Outcome {
    state.withLock { state in
      var position = state.input ?? start(.input, place, state)
      state.input = position
      guard let found = find(&state, position) else { return .mustWait(socket.rawValue) }
      guard case .packet(let first, let length) = found else { return .closed }
      position = max(position, first)
      let offset = ConsoleFrame.header + Int(position - first)
      let moved = min(count, length - offset, buffer.count)
      // The packet stays until all of it has reached the guest.
      buffer.replaceSubrange(0..<moved, with: state.frame[offset..<offset + moved])
      note(.input, place, position, position &+ UInt64(moved))
      state.input = position &+ UInt64(moved)
      return .moved(moved)
    }
  }

  private enum Found {
    /// The packet in the buffer, of that many bytes, begins at this position.
    case packet(first: UInt64, count: Int)
    case closed
  }

  /// Looks at the first packet with anything behind `position`, and passes over those before it; `nil` if there is none yet.
  private func find(_ state: inout State, _ position: UInt64?) -> Found? {
    for _ in 0..<Self.skipLimit {
      let received = try? PacketIO.receive(socket.rawValue, into: &state.frame, leaving: true)
      switch received {
      case .packet(let count)?:
        guard let first = ConsoleFrame.position(state.frame, count: count),
          first <= .max - UInt64(count)
        else { break }
        let end = first + UInt64(count - ConsoleFrame.header)
        if end > position ?? 0 { return .packet(first: first, count: count) }
      case .nothing?: return nil
      case .end?, nil: return .closed
      }
      _ = try? PacketIO.receive(socket.rawValue, into: &state.frame)
    }
    return nil
  }

  // MARK: Output

  /// Begins a chain of `count` bytes, of which so many have gone out already, and which the queue completes at `place`.
  func beginOutput(count: UInt64, after sent: UInt64, at place: UInt16) {
    state.withLock { state in
      let position = state.output ?? start(.output, place, state)
      if state.output == nil {
        // How far the process before has come is not known, but not further.
        state.furthest = max(position, memory.record(number, .output).end)
      }
      state.output = position &+ sent
      state.outputStart = position
      note(.output, place, position, position &+ count)
    }
  }

  /// Sends bytes of the chain, as many as there is room for at once.
  func write(_ bytes: ArraySlice<UInt8>) -> ConsolePort.Outcome {
    state.withLock { state in
      guard let position = state.output else { return .closed }
      let part = bytes.prefix(ConsoleFrame.limit)
      guard
        let isSent = try? PacketIO.send(socket.rawValue, ConsoleFrame.make(position, part))
      else { return .closed }
      guard isSent else { return .mustWait(socket.rawValue) }
      state.output = position &+ UInt64(part.count)
      state.furthest = max(state.furthest, position &+ UInt64(part.count))
      return .moved(part.count)
    }
  }

  /// Has the chain under way begin anew, here or in another process: what of it was sent counts once.
  func rewindOutput() {
    state.withLock { state in
      if state.output != nil { state.output = state.outputStart }
    }
  }

  // MARK: Records

  /// Where a queue goes on that is now at `place`: at the beginning of the chain that was under way, unless that is done.
  private func start(
    _ direction: ConsoleLinkMemory.Direction,
    _ place: UInt16,
    _ state: borrowing State
  ) -> UInt64 {
    let record = memory.record(number, direction)
    let isUnderWay = state.trusted[direction] == true && record.place == place
    return isUnderWay ? record.start : record.end
  }

  private func note(
    _ direction: ConsoleLinkMemory.Direction,
    _ place: UInt16?,
    _ start: UInt64,
    _ end: UInt64
  ) {
    memory.setRecord(
      ConsoleLinkMemory.Record(place: place, start: start, end: end),
      of: number,
      direction
    )
  }
}
