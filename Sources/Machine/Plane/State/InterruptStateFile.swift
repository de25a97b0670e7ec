import Glibc
import HostOS

/// A file with an interrupt state.
enum InterruptStateFile {
  /// Finds whether `path` can be written, and leaves everything as it is.
  static func check(_ path: String) throws(MachineError) {
    do throws(SystemError) {
      try ReplacedFile.check(path)
    } catch {
      throw .interruptState(
        path: path,
        reason: "\(error.reason); name a file that can be made and written"
      )
    }
  }

  /// Writes `state`, whole or not at all: the one that was there stays until the new one is complete.
  static func write(_ state: InterruptState, to path: String) throws {
    try ReplacedFile.write(path) { number in try FileIO.writeAll(number, state.bytes) }
  }

  /// Reads a state.
  static func read(_ path: String) throws(MachineError) -> InterruptState {
    var bytes: [UInt8] = []
    do throws(SystemError) {
      let file = try ReplacedFile.open(path, O_RDONLY)
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
}
