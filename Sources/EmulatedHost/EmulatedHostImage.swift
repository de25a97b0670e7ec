import Glibc

/// The files that the emulated host boots from, made by `scripts/setup`.
public struct EmulatedHostImage: Equatable, Sendable {
  /// Debian's kernel as an ELF file, entered through PVH.
  public let kernel: String
  /// An initial file system with the KVM modules and busybox.
  public let initialFileSystem: String
  /// The part of the kernel's command line that belongs to this kernel.
  let commandLine: String

  /// Finds the image in the cache that the environment names.
  ///
  /// - Parameter environment: Looks up a variable: `APUS_CACHE`, else `XDG_CACHE_HOME`, else `HOME`.
  /// - Throws: ``EmulatedHostError/noImage(path:)``, naming the file that is missing.
  public init(environment: (String) -> String?) throws(EmulatedHostError) {
    let folder = Self.cache(environment) + "/emulated-host"
    kernel = folder + "/vmlinux"
    initialFileSystem = folder + "/base.cpio"
    let append = folder + "/append"
    for path in [kernel, initialFileSystem, append] {
      guard unsafe access(path, R_OK) == 0 else { throw .noImage(path: path) }
    }
    let text = (try? EmulatedHost.readText(append, atMost: 1024)) ?? ""
    commandLine = String(text.prefix { !$0.isNewline })
  }

  /// The folder of everything that the scripts fetch or make.
  static func cache(_ environment: (String) -> String?) -> String {
    if let path = environment("APUS_CACHE"), !path.isEmpty { return path }
    if let path = environment("XDG_CACHE_HOME"), !path.isEmpty { return path + "/apus" }
    return (environment("HOME") ?? "/root") + "/.cache/apus"
  }
}
