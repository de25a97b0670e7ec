public import DeviceModel
public import GuestMemory
import Synchronization

/// Remembers what is mapped, and accesses it as a guest does.
public final class FakeMapper: MemoryMapper {
  /// What cannot be mapped.
  public struct Taken: Error {}

  private struct State {
    var next: UInt32 = 0
    var mapped: [UInt32: (address: UInt64, range: Range<UInt64>, memory: GuestMemory)] = [:]
    var isFull = false
  }

  private let state = Mutex(State())

  /// Has nothing mapped.
  public init() {}

  /// Whether nothing more is mapped.
  public var isFull: Bool {
    get { state.withLock { $0.isFull } }
    set { state.withLock { $0.isFull = newValue } }
  }

  /// Where what is mapped begins and ends, in order.
  public var places: [Range<UInt64>] {
    state.withLock { state in
      state.mapped.values.map { $0.address..<$0.address + UInt64($0.range.count) }
        .sorted { $0.lowerBound < $1.lowerBound }
    }
  }

  /// Maps; what overlaps with something else is refused, as KVM does.
  public func map(_ range: Range<UInt64>, of memory: GuestMemory, at address: UInt64) throws
    -> UInt32
  {
    try state.withLock { state in
      let place = address..<address + UInt64(range.count)
      guard !state.isFull,
        !state.mapped.values.contains(where: {
          place.overlaps($0.address..<$0.address + UInt64($0.range.count))
        })
      else { throw Taken() }
      state.next += 1
      state.mapped[state.next] = (address, range, memory)
      return state.next
    }
  }

  /// Takes away.
  public func unmap(_ number: UInt32) { state.withLock { $0.mapped[number] = nil } }

  /// Reads bytes at a guest address; `nil` where nothing is mapped.
  public func read(_ address: UInt64, count: Int) -> [UInt8]? {
    place(address).flatMap { try? $0.memory.read(at: $0.address, count: count) }
  }

  /// Writes bytes at a guest address.
  ///
  /// - Returns: Whether something is mapped there.
  public func write(_ bytes: [UInt8], at address: UInt64) -> Bool {
    guard let place = place(address) else { return false }
    return (try? place.memory.write(bytes, at: place.address)) != nil
  }

  private func place(_ address: UInt64) -> (memory: GuestMemory, address: GuestAddress)? {
    state.withLock { state in
      for entry in state.mapped.values where address &- entry.address < UInt64(entry.range.count) {
        return (entry.memory, GuestAddress(entry.range.lowerBound + (address - entry.address)))
      }
      return nil
    }
  }
}
