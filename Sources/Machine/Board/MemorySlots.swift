import DeviceModel
import GuestMemory
import KVM
import Synchronization

/// The memory slots of a machine beside those of its RAM, for memory of devices.
final class MemorySlots: MemoryMapper {
  /// Why nothing more is mapped.
  struct Full: Error, CustomStringConvertible {
    let limit: UInt32
    var description: String { "all \(limit) memory slots are taken" }
  }

  private struct State {
    // What is mapped stays mapped in this process, too.
    var used: [UInt32: GuestMemory] = [:]
  }

  private let vm: VM
  private let numbers: Range<UInt32>
  // Held over KVM's calls: a number that is given back is free in KVM, too.
  private let state = Mutex(State())

  /// RAM has those before: one for each range.
  private static var first: UInt32 { 8 }

  /// Hands out the slots that RAM does not need, up to the number of slots that KVM has.
  init(_ vm: VM, limit: UInt32) {
    self.vm = vm
    // api.rst, 4.4: what does not say how many has 32.
    numbers = Self.first..<max(32, limit)
  }

  func map(_ range: Range<UInt64>, of memory: GuestMemory, at address: UInt64) throws -> UInt32 {
    guard let region = memory.regions.first(where: { $0.start.rawValue <= range.lowerBound }),
      range.upperBound <= region.end.rawValue
    else { preconditionFailure("\(range) is not in one region of memory") }
    let host = memory.unsafeHostAddress(of: region) + UInt(range.lowerBound - region.start.rawValue)
    return try state.withLock { state in
      guard let number = numbers.first(where: { state.used[$0] == nil }) else {
        throw Full(limit: numbers.upperBound)
      }
      try vm.setMemoryRegion(
        slot: number,
        guestAddress: address,
        size: UInt64(range.count),
        unsafeHostAddress: host
      )
      state.used[number] = memory
      return number
    }
  }

  func unmap(_ number: UInt32) {
    state.withLock { state in
      do throws(KVMError) {
        try vm.setMemoryRegion(slot: number, guestAddress: 0, size: 0, unsafeHostAddress: 0)
        state.used[number] = nil
      } catch {
        // The number and the memory stay taken: the guest may reach it still.
      }
    }
  }
}
