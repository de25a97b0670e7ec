/// The sixteen bytes that each message begins with, in the machine's byte order.
struct MPQEMUHeader: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }

  /// The number of the command.
  let command: Int32
  /// Padding, of any value; in v8 whether the payload is the short one of configuration registers.
  let second: UInt32
  /// The length of the payload in bytes.
  let size: UInt64

  /// Takes a header apart.
  init(parsing bytes: ArraySlice<UInt8>) {
    let reader = NativeBytes(Array(bytes))
    command = Int32(bitPattern: reader.word(at: 0))
    second = reader.word(at: 4)
    size = reader.word(at: 8)
  }

  /// Puts a header together.
  init(command: Int32, second: UInt32, size: Int) {
    self.command = command
    self.second = second
    self.size = UInt64(size)
  }

  /// The header as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    bytes.append(UInt32(bitPattern: command))
    bytes.append(second)
    bytes.append(size)
    return bytes.array
  }
}
