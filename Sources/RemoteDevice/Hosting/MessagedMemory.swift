import DeviceModel
import GuestMemory

/// Guest memory that a peer is asked for, as devices need it that work on memory.
///
/// Why something cannot be had is for the peer to say, and for whoever watches the connection.
final class MessagedMemory: GuestMemoryPeer {
  private let peer: any DMAPeer
  private let lost: (@Sendable () -> Void)?

  /// Asks `peer`.
  ///
  /// - Parameters:
  ///   - peer: Whom.
  ///   - lost: Called on the thread of an access of which nobody knows what became of it, before that returns. What the
  ///     peer refuses is none.
  init(_ peer: any DMAPeer, lost: (@Sendable () -> Void)? = nil) {
    self.peer = peer
    self.lost = lost
  }

  func read(at address: GuestAddress, count: Int) -> [UInt8]? {
    perform { () throws(DMAError) in try peer.readMemory(at: address.rawValue, count: count) }
  }

  func write(_ bytes: [UInt8], at address: GuestAddress) -> Bool {
    perform { () throws(DMAError) in try peer.writeMemory(bytes, at: address.rawValue) } != nil
  }

  private func perform<Result>(_ body: () throws(DMAError) -> Result) -> Result? {
    do throws(DMAError) {
      return try body()
    } catch {
      if case .refused = error { return nil }
      lost?()
      return nil
    }
  }
}
