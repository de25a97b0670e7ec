import Glibc
import HostOS

/// A file with an interrupt state.
enum InterruptStateFile {
  /// Finds whether `path` can be written, and makes it if it is not there; what is in it stays.
  static func check(_ path: String) throws(MachineError) {
    do throws(SystemError) {
      _ = try open(path, O_WRONLY | O_CREAT)
    } catch {
      throw .interruptState(
        path: path,
        reason: "\(error.reason); name a file that can be made and written"
      )
    }
  }

  /// Writes `state`; one that was there is lost.
  static func write(_ state: InterruptState, to path: String) throws(SystemError) {
    let file = try open(path, O_WRONLY | O_CREAT | O_TRUNC)
    try FileIO.writeAll(file.rawValue, state.bytes)
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
