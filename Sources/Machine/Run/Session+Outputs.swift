import HostOS
import Logging
import Platform
import RemoteDevice

extension Session {
  /// What records the messages with devices' processes, if anything does.
  static func makeRecorder(
    _ configuration: MachineConfiguration
  ) throws -> MessageRecorder? {
    guard let path = configuration.recordPath else { return nil }
    do throws(SystemError) {
      return try MessageRecorder(path: path, logger: Logger(label: "record"))
    } catch {
      throw MachineError.recording(path: path, reason: error.reason)
    }
  }

  /// The first serial port's way out, if there is one.
  func makeSerialOutput(_ clock: HostClock) throws -> SerialOutput? {
    guard let descriptor = try serial.makeOutput() else { return nil }
    return try SerialOutput(to: descriptor, clock: clock)
  }
}
