public import DeviceModel
public import GuestMemory
import PCI
import Synchronization

/// Reaches the guest's memory by messages, where it is not mapped.
public protocol DMAPeer: AnyObject, Sendable {
  /// Reads `count` bytes, more than none; waits for the peer, but not for ever.
  func readMemory(at address: UInt64, count: Int) throws(DMAError) -> [UInt8]
  /// Writes bytes; waits for the peer, but not for ever.
  func writeMemory(_ bytes: [UInt8], at address: UInt64) throws(DMAError)
}

/// A device's way to the guest's memory, by reads and writes of bytes.
///
/// Whatever becomes of the memory, or of the peer that it belongs to, a read or write succeeds or throws; of one
/// that throws, a part may have been done. Nothing is reached while the driver keeps the function from being a
/// bus master. Any thread may call. Where memory is not mapped, a call waits for the peer, so no lock should be
/// held that the function's register accesses need.
public final class DMAHandle: DeviceMemory {
  // The longest copy under the lock, in bytes.
  private static var step: Int { 1 << 20 }

  private struct State {
    var configuration: PCIConfigurationSpace?
    var memory: GuestMemory
    var ranges: HostedMemory?
    var peer: (any DMAPeer)?
  }

  private struct Piece {
    let address: UInt64
    let count: Int
    /// Whom to ask; `nil` for memory that is mapped.
    let peer: (any DMAPeer)?
  }

  // Held over copies, so that whoever takes memory away knows that it is not in use.
  private let state: Mutex<State>

  init() { state = Mutex(State(memory: GuestMemory(shared: []))) }

  /// Reads `count` bytes.
  public func read(at address: GuestAddress, count: Int) throws(DMAError) -> [UInt8] {
    precondition(count >= 0, "a read of \(count) bytes")
    var bytes: [UInt8] = []
    for piece in try pieces(of: address.rawValue, count, for: .read) {
      if let peer = piece.peer {
        bytes += try peer.readMemory(at: piece.address, count: piece.count)
      } else {
        bytes += try copy(piece) { memory throws(GuestMemoryError) in
          try memory.read(at: GuestAddress(piece.address), count: piece.count)
        }
      }
    }
    return bytes
  }

  /// Writes bytes.
  public func write(_ bytes: [UInt8], at address: GuestAddress) throws(DMAError) {
    for piece in try pieces(of: address.rawValue, bytes.count, for: .write) {
      let start = Int(piece.address &- address.rawValue)
      let part = Array(bytes[start..<start + piece.count])
      if let peer = piece.peer {
        try peer.writeMemory(part, at: piece.address)
      } else {
        try copy(piece) { memory throws(GuestMemoryError) in
          try memory.write(part, at: GuestAddress(piece.address))
        }
      }
    }
  }

  /// Whose command register says whether the function may use memory.
  func attach(_ configuration: PCIConfigurationSpace) {
    state.withLock { $0.configuration = configuration }
  }

  /// Uses this memory from now on; at return nothing before it is in use.
  func use(_ ranges: HostedMemory?, mappedAs memory: GuestMemory, peer: (any DMAPeer)?) {
    state.withLock { state in
      state.memory = memory
      state.ranges = ranges
      state.peer = peer
    }
  }

  private func copy<Result>(
    _ piece: Piece,
    _ body: (GuestMemory) throws(GuestMemoryError) -> Result
  ) throws(DMAError) -> Result {
    do throws(GuestMemoryError) {
      return try state.withLock { state throws(GuestMemoryError) in try body(state.memory) }
    } catch {
      // It was there a moment ago.
      throw .notMapped(address: piece.address, count: piece.count)
    }
  }

  private func pieces(
    of address: UInt64,
    _ count: Int,
    for access: HostedRange.Access
  ) throws(DMAError) -> [Piece] {
    try state.withLock { state throws(DMAError) in
      guard state.configuration?.command.contains(.busMaster) == true else { throw .notBusMaster }
      var pieces: [Piece] = []
      var (next, left) = (address, count)
      while left > 0 {
        guard let range = state.ranges?.range(at: next) else {
          throw .notMapped(address: address, count: count)
        }
        guard range.access.contains(access) else {
          throw .notAllowed(address: address, count: count)
        }
        let size = min(left, Self.step, Int(clamping: range.size - (next - range.address)))
        if range.mapping == nil, state.peer == nil { throw .disconnected }
        pieces.append(
          Piece(address: next, count: size, peer: range.mapping == nil ? state.peer : nil)
        )
        left -= size
        next = next &+ UInt64(size)
      }
      return pieces
    }
  }
}
