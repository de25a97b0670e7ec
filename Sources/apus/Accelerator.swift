import ArgumentParser
import Glibc
import HostOS

/// What runs the guest's instructions.
enum Accelerator: String, ExpressibleByArgument, CaseIterable {
  case kvm, emulated, auto

  /// Whether the processor has hardware virtualization, by its flags in /proc/cpuinfo.
  static func hasHardwareVirtualization(cpuinfo: String) -> Bool {
    for line in cpuinfo.split(separator: "\n") where line.hasPrefix("flags") {
      return line.split(separator: " ").contains { $0 == "vmx" || $0 == "svm" }
    }
    return false
  }

  /// The machine's own /proc/cpuinfo, the first processor of it.
  static func cpuinfo() -> String {
    guard let file = try? OwnedFileDescriptor(opening: "/proc/cpuinfo", O_RDONLY),
      let bytes = try? FileIO.read(file.rawValue, atMost: 1 << 14)
    else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
