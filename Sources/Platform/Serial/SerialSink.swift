import Glibc
import HostOS

/// A descriptor that is written to without blocking, whatever it is.
///
/// The flags of the descriptor are shared with whoever else has it open (a terminal with the shell),
/// so they stay as they are: terminals and pipes are opened a second time, sockets take a flag with
/// each call, and files do not block.
struct SerialSink: ~Copyable, Sendable {
  enum Written {
    case wrote(Int)
    case full
    case failed
  }

  private let descriptor: OwnedFileDescriptor
  private let isSocket: Bool

  init(_ descriptor: consuming OwnedFileDescriptor) {
    var status = stat()
    let number = descriptor.rawValue
    // SAFETY: the status is a live local.
    let kind = unsafe fstat(number, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG
    isSocket = kind == S_IFSOCK
    if let own = FileIO.reopenToWrite(number) {
      self.descriptor = own
    } else {
      self.descriptor = descriptor
    }
  }

  /// Writes as much of `bytes` as the descriptor takes now.
  borrowing func write(_ bytes: ArraySlice<UInt8>) -> Written {
    let number = descriptor.rawValue
    // SAFETY: the buffer is alive for the length of the call, which only reads it.
    let count = unsafe bytes.withUnsafeBytes { buffer in
      isSocket
        ? unsafe send(number, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        : unsafe Glibc.write(number, buffer.baseAddress, buffer.count)
    }
    if count >= 0 { return .wrote(count) }
    switch errno {
    case EAGAIN: return .full
    case EINTR: return .wrote(0)
    default: return .failed
    }
  }

  /// Waits until `event` is signalled.
  borrowing func wait(for event: EventFD) {
    var waited = pollfd(fd: event.rawValue, events: Int16(POLLIN), revents: 0)
    // SAFETY: one live local is passed, with its count.
    _ = unsafe poll(&waited, 1, -1)
  }

  /// Waits until the descriptor takes more, or `event` is signalled.
  ///
  /// - Returns: False once the monotonic clock is past `end`, in nanoseconds.
  borrowing func waitForRoom(or event: EventFD, until end: UInt64?) -> Bool {
    var timeout: Int32 = -1
    if let end {
      let now = MonotonicClock.nanoseconds
      guard now < end else { return false }
      timeout = Int32(clamping: (end - now) / 1_000_000 + 1)
    }
    var waited: InlineArray<2, pollfd> = [
      pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0),
      pollfd(fd: event.rawValue, events: Int16(POLLIN), revents: 0),
    ]
    var span = waited.mutableSpan
    // SAFETY: the buffer holds as many entries as the call is told.
    _ = unsafe span.withUnsafeMutableBufferPointer {
      unsafe poll($0.baseAddress, nfds_t($0.count), timeout)
    }
    return true
  }
}
