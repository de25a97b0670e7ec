public import DeviceModel
import Glibc
import HostOS
public import PCI
import Synchronization

/// Buses reduced to a list of BARs, which a test reads and writes by address.
public final class FakePCIAddressSpace: PCIAddressSpace {
  private struct State {
    var mapped: [(window: PCIBARWindow, address: UInt64)] = []
    var steps: [String] = []
  }

  private let reserved: [Range<UInt64>]
  private let state = Mutex(State())

  /// Makes spaces in which the memory ranges `reserved` belong to something else.
  public init(reserved: [Range<UInt64>] = []) { self.reserved = reserved }

  /// The calls so far, in order: `map 0xe0000000`, `move 0xe0001000`, `unmap`.
  public var steps: [String] { state.withLock { $0.steps } }

  /// Maps, unless the addresses are taken.
  public func map(_ window: PCIBARWindow, at address: UInt64) throws {
    try state.withLock { state in
      try check(window, address, state)
      state.mapped.append((window, address))
      state.steps.append("map 0x" + String(address, radix: 16))
    }
  }

  /// Moves, unless the addresses are taken.
  public func move(_ window: PCIBARWindow, to address: UInt64) throws {
    try state.withLock { state in
      try check(window, address, state)
      state.mapped.removeAll { $0.window === window }
      state.mapped.append((window, address))
      state.steps.append("move 0x" + String(address, radix: 16))
    }
  }

  /// Unmaps.
  public func unmap(_ window: PCIBARWindow) {
    state.withLock { state in
      state.mapped.removeAll { $0.window === window }
      state.steps.append("unmap")
    }
  }

  /// The guest's load; all ones where nothing is.
  public func read(_ address: UInt64, width: Int, in space: Doorbell.Space = .memory) -> UInt64 {
    guard let (window, offset) = target(space, address) else {
      return UInt64.max >> UInt64(64 - 8 * width)
    }
    return window.read(BusAccess(offset: offset, width: width))
  }

  /// The guest's store.
  public func write(
    _ value: UInt64,
    _ address: UInt64,
    width: Int,
    in space: Doorbell.Space = .memory
  ) {
    guard let (window, offset) = target(space, address) else { return }
    window.write(value, BusAccess(offset: offset, width: width))
  }

  private func target(
    _ space: Doorbell.Space,
    _ address: UInt64
  ) -> (window: PCIBARWindow, offset: UInt64)? {
    state.withLock { state in
      state.mapped.first {
        $0.window.bar.space == space && address &- $0.address < $0.window.bar.size
      }.map { ($0.window, address - $0.address) }
    }
  }

  private func check(_ window: PCIBARWindow, _ address: UInt64, _ state: State) throws {
    let range = address..<address + window.bar.size
    let isTaken =
      state.mapped.contains {
        $0.window !== window && $0.window.bar.space == window.bar.space
          && ($0.address..<$0.address + $0.window.bar.size).overlaps(range)
      } || window.bar.space == .memory && reserved.contains { $0.overlaps(range) }
    if isTaken { throw SystemError(call: "map \(window)", code: EEXIST) }
  }
}
