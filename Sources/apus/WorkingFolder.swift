import Glibc
import HostOS

/// The folder that relative paths begin in.
enum WorkingFolder {
  /// `path` from the root on; nothing has to be there.
  static func absolute(_ path: String) throws -> String {
    path.hasPrefix("/") ? path : try self.path() + "/" + path
  }

  /// The folder itself.
  static func path() throws -> String {
    // SAFETY: with no room given, the call makes the text, which is ours.
    guard let path = unsafe getcwd(nil, 0) else {
      throw SystemError(call: "getcwd", code: errno)
    }
    defer { unsafe free(path) }
    return unsafe String(cString: path)
  }
}
