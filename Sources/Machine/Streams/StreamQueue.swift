import HostOS

/// Bytes that came from outside and wait for the guest.
struct StreamQueue {
  private var bytes: ArraySlice<UInt8> = []
  private var escape: ConsoleEscape?

  init(escape: ConsoleEscape?) { self.escape = escape }

  var isEmpty: Bool { bytes.isEmpty }

  /// How long to wait for anything, in milliseconds: not every receiver says when it has room.
  var patience: Int32? { bytes.isEmpty ? nil : 50 }

  mutating func append(_ typed: [UInt8]) -> [ConsoleEscape.Request] {
    guard let (passed, requests) = escape?.feed(typed) else {
      bytes += typed
      return []
    }
    bytes += passed
    return requests
  }

  mutating func deliver(_ receiver: StreamPort.Receiver) {
    guard !bytes.isEmpty else { return }
    bytes = bytes.dropFirst(receiver(bytes))
  }
}
