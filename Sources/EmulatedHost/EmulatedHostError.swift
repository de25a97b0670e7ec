/// Why the emulated host could not be used; each shown as one line with the remedy.
public enum EmulatedHostError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The QEMU program is not in `PATH`.
  case noQEMU(name: String)
  /// A file of the host's image is missing.
  case noImage(path: String)
  /// The host ended, or did not come up, before the command did.
  case died(how: String, console: String)
  /// The host's other end broke the protocol between them.
  case protocolViolation(String)

  /// One line: what is wrong and what to do.
  public var description: String {
    switch self {
    case .noQEMU(let name):
      "\(name) is not in PATH, and the emulated host needs it: apt-get install qemu-system-x86"
    case .noImage(let path):
      "the emulated host's \(path) is missing: run scripts/setup, or set APUS_CACHE to its cache"
    case .died(let how, let console):
      "the emulated host \(how)"
        + (console.isEmpty ? "; it printed nothing" : "; its last line: \(console)")
    case .protocolViolation(let what): "the emulated host sent \(what)"
    }
  }
}
