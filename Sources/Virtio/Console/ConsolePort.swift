import CLinux
import Glibc
public import HostOS

/// A port of a console: its name, and two descriptors, neither of which a call here waits for.
public final class ConsolePort: Sendable {
  /// How a transfer ended.
  enum Outcome {
    /// This many bytes were moved, at least one.
    case moved(Int)
    /// Nothing can be moved until the descriptor with this number is ready.
    case mustWait(Int32)
    /// Nothing will ever be moved again.
    case closed
  }

  // A pipe that is ready for writing takes this many bytes at once (pipe(7), PIPE_BUF).
  private static var chunk: Int { 4096 }

  /// What the guest finds it by, as `/dev/virtio-ports/NAME`; `nil` for a console's terminal.
  public let name: String?

  private let input: OwnedFileDescriptor?
  private let output: OwnedFileDescriptor?
  /// The way to the monitor, in a process that has neither of the two.
  let link: ConsoleLinkPort?

  /// Makes a port.
  ///
  /// The descriptors may be pipes, sockets, terminals or files; make them non-blocking where nobody
  /// else minds.
  ///
  /// - Parameters:
  ///   - name: What the guest finds it by.
  ///   - input: Where the guest's input comes from; `nil` for none.
  ///   - output: Where the guest's output goes; `nil` throws it away.
  public init(
    name: String? = nil,
    input: consuming OwnedFileDescriptor?,
    output: consuming OwnedFileDescriptor?
  ) {
    self.name = name
    self.input = input
    self.output = output
    link = nil
  }

  /// Makes a port whose ends another process has.
  init(name: String?, _ link: ConsoleLinkPort) {
    self.name = name
    input = nil
    output = nil
    self.link = link
  }

  /// Whether there is anywhere to write to.
  var hasOutput: Bool { link != nil || output != nil }

  /// Whether something has come that was not read.
  var hasInput: Bool { link?.hasInput ?? input.borrow { isReady($0.rawValue, POLLIN) } ?? false }

  /// How many chains of a queue may be completed before the driver sees them: with a link, what a chain moves is known to a
  /// process that goes on after this one's death for one chain alone.
  var batch: Int { link == nil ? 16 : 1 }

  /// Reads what has come, at most `count` bytes, to the front of `buffer`, for the chain that the queue completes at `place`.
  func read(into buffer: inout [UInt8], count: Int, at place: UInt16) -> Outcome {
    if let link { return link.read(into: &buffer, count: count, at: place) }
    guard let number = input.borrow({ $0.rawValue }) else { return .closed }
    guard isReady(number, POLLIN) else { return .mustWait(number) }
    // SAFETY: the array has room for as many bytes as the call is told.
    let moved = unsafe buffer.withUnsafeMutableBytes {
      unsafe Glibc.read(number, $0.baseAddress, min($0.count, count))
    }
    return outcome(moved, of: number)
  }

  /// Writes as many of the bytes in `range` as the output takes at once.
  func write(_ bytes: [UInt8], in range: Range<Int>) -> Outcome {
    if let link { return link.write(bytes[range]) }
    guard let number = output.borrow({ $0.rawValue }) else { return .closed }
    guard isReady(number, POLLOUT) else { return .mustWait(number) }
    // SAFETY: rebasing checks that the range lies in the array.
    let moved = unsafe bytes.withUnsafeBytes { all in
      let part = unsafe UnsafeRawBufferPointer(rebasing: all[range].prefix(Self.chunk))
      return unsafe Glibc.write(number, part.baseAddress, part.count)
    }
    return outcome(moved, of: number)
  }

  private func outcome(_ count: Int, of number: Int32) -> Outcome {
    guard count < 0 else { return count == 0 ? .closed : .moved(count) }
    let code = errno
    return code == EAGAIN || code == EINTR ? .mustWait(number) : .closed
  }

  /// Whether a call would not wait; true for an error, which the call reports.
  private func isReady(_ number: Int32, _ what: Int32) -> Bool {
    var descriptor = pollfd(fd: number, events: Int16(what), revents: 0)
    // SAFETY: one live `pollfd` is passed, as the count says.
    return unsafe poll(&descriptor, 1, 0) > 0
  }
}
