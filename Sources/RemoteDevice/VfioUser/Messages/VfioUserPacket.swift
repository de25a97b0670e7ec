import HostOS

/// A message as it came, with the descriptors that came with it.
typealias VfioUserPacket = MessagePacket<VfioUserHeader>

extension MessagePacket where Header == VfioUserHeader {
  /// The message as the request that it is.
  ///
  /// - Throws: ``VfioUserError`` for whatever is not of the form that the protocol gives it.
  borrowing func request(
    fromServer: Bool,
    dataLimit: Int
  ) throws(VfioUserError) -> VfioUserRequest {
    try VfioUserRequest(
      header,
      payload,
      descriptors: descriptors.count,
      fromServer: fromServer,
      dataLimit: dataLimit
    )
  }

  /// The message as the reply to a request of `command` that it is.
  ///
  /// - Throws: ``VfioUserError``: `refused` if it says so, or what is wrong with its form.
  borrowing func reply(
    to command: VfioUserCommand,
    dataLimit: Int
  ) throws(VfioUserError) -> VfioUserReply {
    guard header.isReply, header.command == command.rawValue else {
      throw .unexpectedReply(command: header.command, id: header.id)
    }
    if header.isError { throw .refused(command, errorNumber: header.errorNumber) }
    return try VfioUserReply(
      to: command,
      payload,
      descriptors: descriptors.count,
      dataLimit: dataLimit
    )
  }
}
