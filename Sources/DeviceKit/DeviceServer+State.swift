import HostOS
import Virtio

/// The file in which a device's state is kept.
extension DeviceServer {
  /// Opens it, if there is to be one.
  ///
  /// - Throws: ``UserError`` if it cannot be had.
  func openState() throws(UserError) -> OwnedFileDescriptor? {
    guard let state else { return nil }
    do throws(SystemError) {
      return try DevicePeer.descriptor(state)
    } catch {
      throw UserError(
        message: "--state \(state): \(error.reason); say fd: and the number of an open memory file"
      )
    }
  }

  /// Maps it.
  ///
  /// - Throws: ``UserError`` if it is none, `SystemError` if the host fails.
  static func map(_ file: borrowing OwnedFileDescriptor) throws -> VirtioStateFile {
    do {
      return try VirtioStateFile(file)
    } catch let error as SystemError {
      throw error
    } catch {
      throw UserError(
        message: "--state: \(error); name a memory file of \(VirtioStateFile.byteCount) bytes"
      )
    }
  }
}
