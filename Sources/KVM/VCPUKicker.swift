import CLinux
import Glibc
import HostOS
import Synchronization

/// Makes a running vCPU come back from the guest, from any thread.
///
/// A kick is never lost, whatever the vCPU is doing. The protocol:
/// 1. The one who wants something sets a flag of its own, then calls ``kick()``.
/// 2. ``kick()`` sets `immediate_exit` in the run page, and only then signals the vCPU's thread. A
///    vCPU in the guest is driven out by the signal; one about to enter the kernel, or not yet
///    running at all, finds `immediate_exit` and returns at once (api.rst, 5, `immediate_exit`).
/// 3. ``VCPU/run()`` clears `immediate_exit` and returns ``VCPUExit/interrupted``.
/// 4. The loop looks at the flags after each such exit: since the clearing is behind it, a flag set
///    later comes with a kick of its own.
///
/// Kicks that arrive before the vCPU noticed the first count as one. The kicker may outlive its
/// vCPU, and then does nothing.
@safe
public final class VCPUKicker: @unchecked Sendable {
  // Sendable: the page's flag is atomic, the thread is under a lock, the rest never changes.
  private let page: MemoryMapping
  private let immediateExit: UnsafeMutablePointer<Atomic<UInt8>>
  private let signal: Int32
  /// The kernel's number of the thread that runs the vCPU, or 0.
  private let thread = Mutex<Int32>(0)

  /// The signal that kicks if no other is chosen: `SIGUSR1`.
  public static var defaultSignal: Int32 { SIGUSR1 }

  init(page: consuming MemoryMapping, signal: Int32) {
    // SAFETY: the flag is inside the page, which this object keeps, and `Atomic<UInt8>` is a byte.
    unsafe immediateExit = (page.address + Int(APUS_KVM_RUN_IMMEDIATE_EXIT))
      .assumingMemoryBound(to: Atomic<UInt8>.self)
    self.page = page
    self.signal = signal
  }

  /// Makes the vCPU's current run, or else its next, return ``VCPUExit/interrupted``.
  ///
  /// Any thread may call, at any time; it does not wait.
  public func kick() {
    // Sequentially consistent: the flag is set before the signal is sent, and what the caller
    // wrote before is visible to who clears it (pairs with `acknowledge()`).
    let before = unsafe immediateExit.pointee.exchange(1, ordering: .sequentiallyConsistent)
    // Whoever set it first signals too, and the vCPU has not been round since.
    guard before == 0 else { return }
    // The lock is held over the signal, so that it cannot go to a thread that ended meanwhile.
    thread.withLock { thread in
      guard thread != 0 else { return }
      _ = apus_tgkill(getpid(), thread, signal)
    }
  }

  /// The run page's address, valid while this object lives.
  var unsafePage: UnsafeMutableRawPointer { unsafe page.address }

  /// Clears `immediate_exit`; what was requested before is visible afterwards.
  func acknowledge() {
    // A read-modify-write, not a store: the loop's look at its flags must not move before it.
    _ = unsafe immediateExit.pointee.exchange(0, ordering: .sequentiallyConsistent)
  }

  /// Makes the calling thread the one that is signalled, and lets the signal through to it.
  func attachCurrentThread() {
    var set = sigset_t()
    // SAFETY: the calls write and read a live local.
    _ = unsafe sigemptyset(&set)
    _ = unsafe sigaddset(&set, signal)
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    thread.withLock { $0 = Thread.currentID }
  }

  /// Stops signalling; on return no signal is under way.
  func detachThread() {
    thread.withLock { $0 = 0 }
  }
}
