import Glibc

/// A folder of a test's own, removed with all files in it when the test lets go of it.
public final class TemporaryFolder {
  /// The folder's path.
  public let path: String

  /// Makes an empty folder in `parent`; without that in the folder of the variable TMPDIR, or in
  /// /tmp.
  public init(in parent: String? = nil) throws {
    let parent = parent ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/apus-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure(code: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// A call failed.
  public struct Failure: Error { let code: Int32 }

  /// The path of `name` in the folder, which is removed at the end if it is there.
  public func path(of name: String) -> String { "\(path)/\(name)" }

  /// Makes a file that contains `bytes`, and returns its path.
  public func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let path = path(of: name)
    let number = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw Failure(code: errno) }
    defer { close(number) }
    guard write(number, bytes, bytes.count) == bytes.count else { throw Failure(code: errno) }
    return path
  }

  /// What the file at `path` contains.
  public func bytes(at path: String) throws -> [UInt8] {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw Failure(code: errno) }
    defer { close(number) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(number, &part, part.count)
      guard count > 0 else { return bytes }
      bytes += part[0..<count]
    }
  }

  deinit { Self.remove(path) }

  /// Removes a file, or a folder with all in it.
  private static func remove(_ path: String) {
    guard unlink(path) != 0, let folder = opendir(path) else { return }
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { remove("\(path)/\(name)") }
    }
    closedir(folder)
    rmdir(path)
  }
}
