/// One connection, with both of its directions.
typealias VfioUserChannel = MessageChannel<VfioUserHeader>
/// The direction from the other end.
typealias VfioUserReceiver = MessageReceiver<VfioUserHeader>
/// The direction to the other end.
typealias VfioUserSender = MessageSender<VfioUserError>

extension VfioUserHeader: MessageHeader {
  typealias Failure = VfioUserError

  // Short until both ends have agreed on how much data a message may carry.
  static var sizeLimit: Int { 8192 }
}

extension VfioUserError: ConnectionFailure {
  static var gone: Self { .ended }
}

extension MessageReceiver where Header == VfioUserHeader {
  /// Lets messages carry as many bytes of data as both ends have agreed on.
  mutating func allow(data count: Int) {
    // What a message may have besides: the header, and the longest of fixed parts.
    sizeLimit = max(VfioUserHeader.sizeLimit, count + 64)
  }
}
