public import DeviceModel
public import GuestMemory
import Synchronization

/// Parts of BARs that the guest reaches without leaving its processor, which follow their BARs.
///
/// Any thread may call.
public final class PCIMemoryAreas: Sendable {
  /// One of them.
  public struct Area: Sendable {
    /// Which BAR.
    public let bar: Int
    /// Which bytes of the BAR: whole pages, by the addresses that the memory has for them, too.
    public let range: Range<UInt64>
    /// The memory.
    public let memory: GuestMemory

    /// Describes a part.
    public init(bar: Int, range: Range<UInt64>, memory: GuestMemory) {
      self.bar = bar
      self.range = range
      self.memory = memory
    }
  }

  private struct State {
    var areas: [(area: Area, number: UInt32?)] = []
    /// Where each BAR is now.
    var addresses: [Int: UInt64] = [:]
  }

  private let mapper: (any MemoryMapper)?
  private let report: @Sendable (String) -> Void
  // Held over the mapper's calls, so that what is remembered is what is mapped.
  private let state = Mutex(State())

  /// Has no area yet.
  ///
  /// - Parameters:
  ///   - mapper: Who maps; `nil` where nobody does, and the guest's accesses come one by one.
  ///   - report: Where to say what could not be mapped; from any thread.
  public init(_ mapper: (any MemoryMapper)?, report: @escaping @Sendable (String) -> Void) {
    self.mapper = mapper
    self.report = report
  }

  /// Whether anything is ever mapped.
  public var isUsed: Bool { mapper != nil }

  /// Replaces them all; at return no processor reaches those before.
  public func set(_ areas: [Area]) {
    state.withLock { state in
      for index in state.areas.indices { unmap(&state.areas[index]) }
      state.areas = areas.map { ($0, nil) }
      for index in state.areas.indices { map(&state.areas[index], state.addresses) }
    }
  }

  /// Lets those of a BAR follow it; `nil` if it is nowhere.
  public func move(_ bar: Int, to address: UInt64?) {
    state.withLock { state in
      state.addresses[bar] = address
      for index in state.areas.indices where state.areas[index].area.bar == bar {
        unmap(&state.areas[index])
        map(&state.areas[index], state.addresses)
      }
    }
  }

  private func map(_ entry: inout (area: Area, number: UInt32?), _ addresses: [Int: UInt64]) {
    // A BAR that is smaller than a page may be anywhere in one; it has no whole pages.
    guard let mapper, let base = addresses[entry.area.bar], base % GuestMemory.pageSize == 0
    else { return }
    let address = base &+ entry.area.range.lowerBound
    do {
      entry.number = try mapper.map(entry.area.range, of: entry.area.memory, at: address)
    } catch {
      // The guest's accesses reach the BAR, and with it the device, one by one.
      report("cannot map memory at 0x\(String(address, radix: 16)): \(error)")
    }
  }

  private func unmap(_ entry: inout (area: Area, number: UInt32?)) {
    guard let number = entry.number.take() else { return }
    mapper?.unmap(number)
  }
}
