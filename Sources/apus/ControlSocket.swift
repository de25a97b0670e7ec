import DeviceKit
import Glibc
import HostOS
import Machine

/// The client's end of a machine's control socket.
enum ControlSocket {
  /// How long an answer may take, in nanoseconds: a replacement takes a while, and something else may be under way.
  private static var patience: UInt64 { 30_000_000_000 }
  private static var answerLimit: Int { 16 << 20 }

  /// Makes a request; what takes as long as the host's disk takes is waited for without a limit.
  ///
  /// - Returns: What comes after the line that says that it is done.
  /// - Throws: ``UserError`` with the machine's reason, or with what is wrong with the socket.
  static func ask(_ path: String, _ request: ControlRequest) throws -> [UInt8] {
    let socket: OwnedFileDescriptor
    do throws(SystemError) {
      socket = try UnixSocket.connect(to: path)
    } catch {
      throw UserError(
        message: "\(path): \(error.reason); name the socket of a machine that runs with --control"
      )
    }
    try FileIO.writeAll(socket.rawValue, Array("\(request.line)\n".utf8))
    let end: UInt64? =
      if case .save = request { nil } else { MonotonicClock.nanoseconds + patience }
    var answer: [UInt8] = []
    while true {
      let now = MonotonicClock.nanoseconds
      guard end.map({ now < $0 }) ?? true, answer.count < answerLimit else {
        throw UserError(message: "\(path): no answer within \(patience / 1_000_000_000) s")
      }
      var list = PollList()
      _ = list.add(socket.rawValue, for: .readable)
      list.wait(timeout: end.map { Int32(clamping: ($0 - now) / 1_000_000 + 1) })
      guard let bytes = try FileIO.read(socket.rawValue, atMost: 1 << 16) else { continue }
      if bytes.isEmpty { break }
      answer += bytes
    }
    let line = answer.prefix { $0 != UInt8(ascii: "\n") }
    let text = String(decoding: line, as: UTF8.self)
    if text == "ok" { return Array(answer.dropFirst(line.count + 1)) }
    let error = "error: "
    throw UserError(
      message: text.hasPrefix(error)
        ? String(text.dropFirst(error.count)) : "\(path): the machine has ended"
    )
  }
}
