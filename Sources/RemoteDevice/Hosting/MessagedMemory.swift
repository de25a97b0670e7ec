import DeviceModel
import GuestMemory

/// Guest memory that a peer is asked for, as devices need it that work on memory.
///
/// Why something cannot be had is for the peer to say, and for whoever watches the connection.
final class MessagedMemory: GuestMemoryPeer {
  private let peer: any DMAPeer

  init(_ peer: any DMAPeer) { self.peer = peer }

  func read(at address: GuestAddress, count: Int) -> [UInt8]? {
    try? peer.readMemory(at: address.rawValue, count: count)
  }

  func write(_ bytes: [UInt8], at address: GuestAddress) -> Bool {
    (try? peer.writeMemory(bytes, at: address.rawValue)) != nil
  }
}
