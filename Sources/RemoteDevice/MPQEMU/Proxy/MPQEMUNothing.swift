import CLinux
import Glibc
import HostOS

/// What a remote is handed in place of a board's memory and interrupt, since the protocol has no way to take them
/// back: a page that nobody looks at, and eventfds that nobody waits for.
struct MPQEMUNothing: Sendable {
  private let page: KeptDescriptor
  private let trigger: EventFD
  private let resample: EventFD

  init() throws(SystemError) {
    let number = try retrying("memfd_create") {
      // SAFETY: the name is a literal, which ends in a NUL.
      unsafe apus_memfd_create("nothing", UInt32(MFD_CLOEXEC))
    }
    page = KeptDescriptor(OwnedFileDescriptor(adopting: number))
    _ = try retrying("ftruncate") { ftruncate(number, Self.size) }
    trigger = try EventFD()
    resample = try EventFD()
  }

  private static var size: Int { 4096 }

  /// The message that replaces a board's memory, and what goes with it.
  var memory: (message: MPQEMUMessage, descriptors: [Int32]) {
    let region = MPQEMURegion(address: 0, size: UInt64(Self.size), offset: 0)
    return (.syncMemory([region]), [page.rawValue])
  }

  /// The descriptors that replace a board's interrupt.
  var interrupt: [Int32] { [trigger.share(), resample.share()] }
}
