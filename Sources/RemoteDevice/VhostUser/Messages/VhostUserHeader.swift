/// The twelve bytes that each message begins with, in the machine's byte order.
struct VhostUserHeader: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 12 }
  /// The longest payload that any request of the protocol has; a configuration is 268 bytes.
  static var payloadLimit: UInt32 { 4096 }

  private static var version: UInt32 { 1 }
  private static var versionMask: UInt32 { 3 }
  private static var replyFlag: UInt32 { 1 << 2 }
  private static var needReplyFlag: UInt32 { 1 << 3 }

  /// The number of the request.
  let request: UInt32
  /// Version, and whether it is a reply or asks for one.
  let flags: UInt32
  /// The length of the payload in bytes.
  let size: UInt32

  /// Takes a request's header apart.
  init(parsing bytes: [UInt8]) throws(VhostUserError) {
    let reader = NativeBytes(bytes)
    request = reader.word(at: 0)
    flags = reader.word(at: 4)
    size = reader.word(at: 8)
    guard flags & Self.versionMask == Self.version else {
      throw .badVersion(request: request, flags: flags)
    }
    guard flags & Self.replyFlag == 0 else { throw .unexpectedReply(request: request) }
    guard size <= Self.payloadLimit else { throw .tooLarge(request: request, size: size) }
  }

  /// The header of a reply.
  init(replyTo request: UInt32, size: Int) {
    self.request = request
    flags = Self.version | Self.replyFlag
    self.size = UInt32(size)
  }

  /// The header of a request of our own.
  init(request: UInt32, size: Int, needsReply: Bool = false) {
    self.request = request
    flags = Self.version | (needsReply ? Self.needReplyFlag : 0)
    self.size = UInt32(size)
  }

  /// Whether flags are those of a reply.
  static func isReply(_ flags: UInt32) -> Bool {
    flags & (versionMask | replyFlag) == version | replyFlag
  }

  /// Whether the sender wants to hear how it went, if both have agreed on that.
  var needsReply: Bool { flags & Self.needReplyFlag != 0 }

  /// The header as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    bytes.append(request)
    bytes.append(flags)
    bytes.append(size)
    return bytes.array
  }
}
