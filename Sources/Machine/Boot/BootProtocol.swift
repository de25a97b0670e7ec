/// How a kernel is loaded and entered.
public enum BootProtocol: String, CaseIterable, Equatable, Sendable {
  /// A Linux bzImage through its 64-bit entry (Linux `Documentation/arch/x86/boot.rst`).
  case linux
  /// A Multiboot 1 image (Multiboot Specification 0.6.96).
  case multiboot
  /// An ELF image with a PVH entry (Xen `docs/misc/pvh.pandoc`), such as a Linux `vmlinux`.
  case pvh

  /// What a file of this kind is called in a message, with its article.
  var fileKind: String {
    switch self {
    case .linux: "a bzImage"
    case .multiboot: "a Multiboot image"
    case .pvh: "an ELF with a PVH note"
    }
  }
}
