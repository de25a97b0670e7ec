import CLinux
import Glibc
import HostOS

/// A virtual processor: its registers, its run loop's one step, and the page it shares with KVM.
///
/// It belongs to one thread at a time, hence is not `Sendable`: hand it over before the first
/// ``attachToCurrentThread()``, and it stays there. What other threads may use is ``kicker``.
///
/// A run loop:
/// ```
/// vcpu.attachToCurrentThread()
/// while true {
///   switch try vcpu.run() {
///   case .mmio(let access) where access.isWrite: bus.write(access.value, access)
///   case .interrupted: if mustStop { return }
///   ...
///   }
/// }
/// ```
@safe
public final class VCPU {
  /// The vCPU's number, which is its local APIC's identifier too.
  public let id: UInt32
  /// Makes the vCPU come back from the guest; any thread may hold and use it.
  public let kicker: VCPUKicker

  let descriptor: OwnedFileDescriptor
  /// The run page (api.rst, 5), which `kicker` keeps mapped; ports' data follows it.
  let page: UnsafeMutablePointer<kvm_run>
  let xsaveSize: Int
  private var isAttached = false

  init(
    id: UInt32,
    adopting descriptor: consuming OwnedFileDescriptor,
    runMappingSize: Int,
    xsaveSize: Int,
    kickSignal: Int32
  ) throws(KVMError) {
    precondition(runMappingSize >= MemoryLayout<kvm_run>.size, "run page of \(runMappingSize)")
    do throws(SystemError) {
      let mapping = try MemoryMapping(of: descriptor, count: runMappingSize)
      kicker = VCPUKicker(page: mapping, signal: kickSignal)
    } catch { throw .system(error) }
    self.id = id
    self.descriptor = descriptor
    self.xsaveSize = xsaveSize
    // SAFETY: KVM lays the page out so, and the precondition found it large enough.
    unsafe page = kicker.unsafePage.assumingMemoryBound(to: kvm_run.self)
  }

  deinit { kicker.detachThread() }

  /// Makes the calling thread the vCPU's own, to which kicks go; call it once, before ``run()``.
  ///
  /// The kick's signal is let through on this thread.
  public func attachToCurrentThread() {
    kicker.attachCurrentThread()
    isAttached = true
  }

  /// Ends ``attachToCurrentThread()``, when the thread is about to do something else or to end.
  public func detachFromThread() {
    kicker.detachThread()
    isAttached = false
  }

  /// Runs the guest until it needs something (api.rst, 4.10).
  ///
  /// What the last exit left open, such as the value of an MMIO read, is completed first. No
  /// memory is allocated and no reference is counted.
  ///
  /// - Returns: Why the guest stopped.
  /// - Throws: ``KVMError`` if it could not be run at all.
  public func run() throws(KVMError) -> VCPUExit {
    precondition(isAttached, "a vCPU runs on a thread that it is attached to")
    guard apus_kvm_ioctl(descriptor.rawValue, APUS_KVM_RUN, 0) >= 0 else {
      return try runFailed(errno)
    }
    // SAFETY: `page` is mapped while `kicker` lives, the kernel filled in the member that belongs
    // to the reason, and it writes to the page again only in the next run.
    switch unsafe Int32(truncatingIfNeeded: page.pointee.exit_reason) {
    case KVM_EXIT_IO:
      return unsafe .port(
        VCPUExit.Port(
          isWrite: page.pointee.io.direction == UInt8(KVM_EXIT_IO_OUT),
          size: page.pointee.io.size,
          port: page.pointee.io.port,
          items: page.pointee.io.count
        )
      )
    case KVM_EXIT_MMIO:
      let isWrite = unsafe page.pointee.mmio.is_write != 0
      let size = unsafe UInt8(truncatingIfNeeded: page.pointee.mmio.len)
      return unsafe .mmio(
        VCPUExit.MMIO(
          address: page.pointee.mmio.phys_addr,
          // The shift of a width of 8 leaves all bits; the kernel says 1 to 8 (api.rst, 5).
          value: isWrite ? mmioData.pointee & (UInt64.max >> (64 &- 8 &* UInt64(size))) : 0,
          size: size,
          isWrite: isWrite
        )
      )
    case KVM_EXIT_HLT: return .hlt
    case KVM_EXIT_IRQ_WINDOW_OPEN: return .irqWindowOpen
    case KVM_EXIT_IOAPIC_EOI: return unsafe .ioapicEOI(vector: page.pointee.eoi.vector)
    case KVM_EXIT_INTR:
      kicker.acknowledge()
      return .interrupted
    default: return rareExit()
    }
  }

  /// The data of an MMIO exit; eight bytes, the lowest first.
  var mmioData: UnsafeMutablePointer<UInt64> {
    // SAFETY: eight bytes inside the page, at an offset that the kernel aligned to eight.
    unsafe (UnsafeMutableRawPointer(page) + Int(APUS_KVM_RUN_MMIO_DATA))
      .assumingMemoryBound(to: UInt64.self)
  }

  @inline(never)
  private func rareExit() -> VCPUExit {
    // SAFETY: As in `run()`.
    let reason = unsafe page.pointee.exit_reason
    switch Int32(truncatingIfNeeded: reason) {
    case KVM_EXIT_SHUTDOWN: return .shutdown
    case KVM_EXIT_SYSTEM_EVENT:
      return unsafe .systemEvent(type: page.pointee.system_event.type)
    case KVM_EXIT_INTERNAL_ERROR:
      return unsafe .internalError(suberror: page.pointee.internal.suberror)
    case KVM_EXIT_FAIL_ENTRY:
      return unsafe .failEntry(reason: page.pointee.fail_entry.hardware_entry_failure_reason)
    case KVM_EXIT_SET_TPR: return .taskPriorityLowered
    case KVM_EXIT_X86_RDMSR: return unsafe .readMSR(index: page.pointee.msr.index)
    case KVM_EXIT_X86_WRMSR:
      return unsafe .writeMSR(index: page.pointee.msr.index, value: page.pointee.msr.data)
    case KVM_EXIT_DEBUG:
      return unsafe .debug(
        exception: page.pointee.debug.arch.exception,
        address: page.pointee.debug.arch.pc
      )
    case KVM_EXIT_UNKNOWN:
      return unsafe .unknown(
        reason: reason,
        hardwareReason: page.pointee.hw.hardware_exit_reason
      )
    default: return .unknown(reason: reason, hardwareReason: 0)
    }
  }

  @inline(never)
  private func runFailed(_ code: Int32) throws(KVMError) -> VCPUExit {
    // EAGAIN: a vCPU that waits for its start-up interrupt was woken for something else.
    if code == EINTR || code == EAGAIN {
      kicker.acknowledge()
      return .interrupted
    }
    // KVM_EXIT_MEMORY_FAULT comes with an error, too (api.rst, 5): flags, address, and size, in
    // the place where an MMIO exit has its address. The number is newer than many a linux/kvm.h.
    let memoryFault: UInt32 = 39
    if code == EFAULT || code == EHWPOISON, unsafe page.pointee.exit_reason == memoryFault {
      // SAFETY: three words inside the page; the third is past `mmioData` by one.
      let (address, size) = unsafe (mmioData.pointee, mmioData[1])
      throw .memoryFault(guestAddress: address, size: size, code: code)
    }
    throw KVMRequest.run.failure(code, "vCPU \(id)")
  }
}
