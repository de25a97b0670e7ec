import Glibc

/// Runs `command` in a shell, and returns its exit code with what it printed, without the last newline.
public func shell(_ command: String) -> (code: Int32, output: String) {
  guard let pipe = popen(command, "r") else { return (-1, "") }
  var bytes: [UInt8] = []
  var part = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = fread(&part, 1, part.count, pipe)
    guard count > 0 else { break }
    bytes += part[0..<count]
  }
  if bytes.last == 10 { bytes.removeLast() }
  let status = pclose(pipe)
  return (status & 0x7F == 0 ? status >> 8 & 0xFF : -1, String(decoding: bytes, as: UTF8.self))
}
