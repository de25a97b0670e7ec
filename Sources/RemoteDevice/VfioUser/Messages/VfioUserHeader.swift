/// The sixteen bytes that each message begins with, in the machine's byte order.
struct VfioUserHeader: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }

  private static var typeMask: UInt32 { 0xF }
  private static var replyType: UInt32 { 1 }
  private static var noReplyFlag: UInt32 { 1 << 4 }
  private static var errorFlag: UInt32 { 1 << 5 }

  /// The number that a reply has from what it replies to.
  let id: UInt16
  /// The number of the command.
  let command: UInt16
  /// The length of the message, this header included.
  let size: UInt32
  /// What kind of message it is.
  let flags: UInt32
  /// In an error reply, the `errno`.
  let errorNumber: UInt32

  /// Takes a header apart.
  ///
  /// - Parameters:
  ///   - bytes: Sixteen bytes.
  ///   - limit: The longest message that may come, this header included.
  /// - Throws: ``VfioUserError`` for what no message can begin with.
  init(parsing bytes: some Collection<UInt8>, limit: Int) throws(VfioUserError) {
    let reader = NativeBytes(Array(bytes))
    id = reader.word(at: 0)
    command = reader.word(at: 2)
    size = reader.word(at: 4)
    flags = reader.word(at: 8)
    errorNumber = reader.word(at: 12)
    guard flags & Self.typeMask <= Self.replyType else {
      throw .badFlags(command: command, flags: flags)
    }
    guard size >= UInt32(Self.count), Int(size) <= limit else {
      throw .badMessageSize(command: command, size: size, limit: limit)
    }
    if isError {
      guard isReply, errorNumber != 0 else { throw .badFlags(command: command, flags: flags) }
      guard payloadCount == 0 else {
        throw .badMessageSize(command: command, size: size, limit: Self.count)
      }
    }
  }

  /// The header of a request.
  init(_ command: VfioUserCommand, id: UInt16, payloadCount: Int, wantsReply: Bool = true) {
    self.id = id
    self.command = command.rawValue
    size = UInt32(Self.count + payloadCount)
    flags = wantsReply ? 0 : Self.noReplyFlag
    errorNumber = 0
  }

  /// The header of the reply to `request`.
  init(replyTo request: VfioUserHeader, payloadCount: Int) {
    id = request.id
    command = request.command
    size = UInt32(Self.count + payloadCount)
    flags = Self.replyType
    errorNumber = 0
  }

  /// The header that is the whole of a reply that says that `request` failed, with an `errno`.
  init(failing request: VfioUserHeader, _ errorNumber: Int32) {
    precondition(errorNumber > 0, "a failure for the reason \(errorNumber)")
    id = request.id
    command = request.command
    size = UInt32(Self.count)
    flags = Self.replyType | Self.errorFlag
    self.errorNumber = UInt32(errorNumber)
  }

  /// How many bytes follow.
  var payloadCount: Int { Int(size) - Self.count }
  /// Whether it is a reply, and not a request.
  var isReply: Bool { flags & Self.typeMask == Self.replyType }
  /// Whether the request is to be answered.
  var wantsReply: Bool { flags & Self.noReplyFlag == 0 }
  /// Whether the reply says that the request failed.
  var isError: Bool { flags & Self.errorFlag != 0 }

  /// The header as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    bytes.append(id)
    bytes.append(command)
    bytes.append(size)
    bytes.append(flags)
    bytes.append(errorNumber)
    return bytes.array
  }
}
