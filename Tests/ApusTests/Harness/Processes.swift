import Glibc
import HostOS

/// The machine's processes, by /proc.
enum Processes {
  /// The processes that `parent` started and that have not ended.
  static func children(of parent: Int32) -> [Int32] {
    Files.names(in: "/proc").compactMap { Int32($0) }.filter { id in
      status(of: id).map { $0.parent == parent && $0.state != "Z" } ?? false
    }
  }

  /// Whether the process is there, and has not ended.
  static func isRunning(_ id: Int32) -> Bool {
    status(of: id).map { $0.state != "Z" && $0.state != "X" } ?? false
  }

  /// Whether the process's first thread keeps `signal` waiting (proc(5), /proc/pid/status).
  static func isBlocking(_ signal: Int32, _ id: Int32) -> Bool {
    for line in (Files.text("/proc/\(id)/status") ?? "").split(separator: "\n")
    where line.hasPrefix("SigBlk:") {
      let mask = line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) } ?? 0
      return mask >> UInt64(signal - 1) & 1 != 0
    }
    return false
  }

  /// proc(5), /proc/pid/stat: after the name in parentheses, the state and the parent.
  private static func status(of id: Int32) -> (state: String, parent: Int32)? {
    guard let text = Files.text("/proc/\(id)/stat"), let end = text.lastIndex(of: ")") else {
      return nil
    }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 1, let parent = Int32(fields[1]) else { return nil }
    return (String(fields[0]), parent)
  }
}

/// Files and folders, as tests look at them.
enum Files {
  /// The names in a folder, sorted.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The first 64 KiB of a file; nil if it cannot be read.
  static func text(_ path: String) -> String? {
    guard let file = try? OwnedFileDescriptor(opening: path, O_RDONLY),
      let bytes = try? FileIO.read(file.rawValue, atMost: 65536)
    else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }
}
