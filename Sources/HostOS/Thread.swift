import CLinux
import Glibc
import Synchronization

/// A thread of the host, joined when its owner is done with it.
///
/// The body runs once, on a thread of its own with signals blocked, so that the process's signals
/// reach the thread that waits for them; a vCPU thread unblocks its kick signal itself. Those that
/// stand for a fault of the thread's own stay open: blocked, they kill past every handler.
/// The handle is never copied, and letting go of it waits for the thread to end.
public struct Thread: ~Copyable, Sendable {
  private let handle: pthread_t

  private static var faults: [Int32] {
    [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSYS]
  }

  /// Starts a thread.
  ///
  /// - Parameters:
  ///   - name: What tools show; the kernel keeps 15 bytes of it.
  ///   - body: What the thread does.
  /// - Throws: ``SystemError`` if the host has no room for another thread.
  public init(_ name: String, _ body: sending @escaping () -> Void) throws(SystemError) {
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    var handle = pthread_t()
    var all = sigset_t()
    var before = sigset_t()
    // A new thread inherits its maker's mask: block before, so that no signal slips in between.
    _ = unsafe sigfillset(&all)
    for signal in Self.faults { _ = unsafe sigdelset(&all, signal) }
    _ = unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    let code = unsafe pthread_create(
      &handle,
      nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        // SAFETY: the argument is the retained `Start`, handed over exactly once.
        let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        _ = unsafe start.name.withCString { unsafe apus_set_thread_name($0) }
        start.body()
        return nil
      },
      start.toOpaque()
    )
    _ = unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard code == 0 else {
      unsafe start.release()
      throw SystemError(call: "pthread_create", code: code, subject: name)
    }
    self.handle = handle
  }

  /// Runs `body` on a thread of its own, to its end, while the caller waits.
  ///
  /// For what a copied process goes on with: the libraries remember of its first thread what is not so in the copy, such as its
  /// number, by which locks are told whose they are.
  public static func perform(_ name: String, _ body: () -> Void) throws(SystemError) {
    let result = withoutActuallyEscaping(body) { body -> Result<Void, SystemError> in
      // The caller does nothing until the thread has ended: only one of them uses what the body captures.
      nonisolated(unsafe) let body = body
      do throws(SystemError) {
        try Thread(name) { unsafe body() }.join()
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  /// Waits until the thread has ended.
  public consuming func join() {
    _ = pthread_join(handle, nil)
    discard self
  }

  /// Lets the thread run on by itself until the process ends.
  ///
  /// For threads that wait for the outside world for as long as the process lives.
  public consuming func detach() {
    _ = pthread_detach(handle)
    discard self
  }

  deinit {
    _ = pthread_join(handle, nil)
  }

  /// The kernel's number of the calling thread, for ``Signals``.
  public static var currentID: Int32 { apus_gettid() }

  private final class Start {
    let name: String
    let body: () -> Void

    init(name: String, body: @escaping () -> Void) {
      self.name = String(decoding: name.utf8.prefix(15), as: UTF8.self)
      self.body = body
    }
  }
}
