import CLinux
import Glibc

/// Signals taken from a descriptor instead of a handler (signalfd(2)).
///
/// Make it before any thread is started: the signals are blocked in the calling thread, and new
/// threads inherit that, so that each signal arrives here and nowhere else.
public final class SignalQueue: Sendable {
  private let descriptor: OwnedFileDescriptor

  /// Blocks `signals` in the calling thread and collects them here.
  public init(_ signals: [Int32]) throws(SystemError) {
    var set = sigset_t()
    _ = unsafe sigemptyset(&set)
    for signal in signals { _ = unsafe sigaddset(&set, signal) }
    Signals.block(signals)
    let number = try retrying("signalfd") {
      unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    }
    descriptor = OwnedFileDescriptor(adopting: number)
  }

  /// For ``Poller``: readable while a signal waits.
  public var rawValue: Int32 { descriptor.rawValue }

  /// Takes the next signal, or `nil` if none waits.
  public func next() -> Int32? {
    var information = signalfd_siginfo()
    // SAFETY: the kernel writes one whole record into a live local, or nothing.
    let size = unsafe Glibc.read(
      descriptor.rawValue,
      &information,
      MemoryLayout<signalfd_siginfo>.size
    )
    return size == MemoryLayout<signalfd_siginfo>.size ? Int32(information.ssi_signo) : nil
  }
}
