import Glibc
import HostOS

/// A file with an interrupt state.
enum InterruptStateFile {
  /// Finds whether `path` can be written, and leaves everything as it is.
  static func check(_ path: String) throws(MachineError) {
    do throws(SystemError) {
      if isReplaced(path) {
        let temporary = temporaryPath(of: path)
        _ = try open(temporary, O_WRONLY | O_CREAT | O_EXCL)
        remove(temporary)
      } else {
        _ = try open(path, O_WRONLY)
      }
    } catch {
      throw .interruptState(
        path: path,
        reason: "\(error.reason); name a file that can be made and written"
      )
    }
  }

  /// Writes `state`, whole or not at all: the one that was there stays until the new one is complete.
  static func write(_ state: InterruptState, to path: String) throws(SystemError) {
    guard isReplaced(path) else {
      let file = try open(path, O_WRONLY)
      return try FileIO.writeAll(file.rawValue, state.bytes)
    }
    let temporary = temporaryPath(of: path)
    let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL)
    do throws(SystemError) {
      try FileIO.writeAll(file.rawValue, state.bytes)
      let number = file.rawValue
      _ = try retrying("fsync", temporary) { fsync(number) }
      // SAFETY: the bridged paths are NUL-terminated for the length of the call.
      _ = try retrying("rename", path) { unsafe rename(temporary, path) }
    } catch {
      remove(temporary)
      throw error
    }
  }

  /// Whether a file takes the place of what is at `path`: not of a pipe or a device, which are written to, nor
  /// of a folder, which is refused.
  private static func isReplaced(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the path is NUL-terminated for the length of the call, the result a live local.
    return unsafe stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
  }

  /// In the same folder, and no other process's.
  static func temporaryPath(of path: String) -> String { "\(path).\(getpid()).new" }

  private static func remove(_ path: String) {
    // SAFETY: the path is NUL-terminated for the length of the call.
    _ = unsafe unlink(path)
  }

  /// Reads a state.
  static func read(_ path: String) throws(MachineError) -> InterruptState {
    var bytes: [UInt8] = []
    do throws(SystemError) {
      let file = try open(path, O_RDONLY)
      while bytes.count <= InterruptState.sizeLimit,
        let more = try FileIO.read(file.rawValue, atMost: 1 << 16), !more.isEmpty
      {
        bytes += more
      }
    } catch {
      throw .interruptState(path: path, reason: "\(error.reason); name a file that can be read")
    }
    do throws(InterruptStateError) {
      return try InterruptState(bytes: bytes)
    } catch {
      throw .interruptState(path: path, reason: "\(error)")
    }
  }

  // Not to wait for whoever writes to a pipe, or for a terminal.
  private static func open(
    _ path: String,
    _ flags: Int32
  ) throws(SystemError) -> OwnedFileDescriptor {
    try OwnedFileDescriptor(opening: path, flags | O_CLOEXEC | O_NONBLOCK)
  }
}
