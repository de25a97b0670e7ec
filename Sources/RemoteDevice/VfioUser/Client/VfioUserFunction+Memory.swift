import DeviceModel
import Glibc
import GuestMemory
import PCI
import Synchronization
import Virtio

/// The guest's memory for a server that asks, on the thread of its reader.
extension VfioUserFunction {
  /// Reads or writes the guest's memory for the server.
  func serve(_ request: VfioUserRequest) -> Result<VfioUserReply, VfioUserRefusal> {
    memory.withLock { memory in
      guard let memory else { return .failure(VfioUserRefusal(errorNumber: ENODEV)) }
      // PCI 3.0, 6.2.2: a function that is no bus master does not access memory.
      guard configuration.command.contains(.busMaster) else {
        return .failure(VfioUserRefusal(errorNumber: ENODEV))
      }
      do throws(GuestMemoryError) {
        // What is asked for one after the other is done so for the guest's processors too: a device looks at what
        // the driver wants after it has shown what it did (virtio 1.2, 2.7.13.4).
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        switch request {
        case .readDMA(let access):
          // At most as much as a message may carry, which was checked.
          let data = try perform(.read, access, in: memory) { () throws(GuestMemoryError) in
            try Self.read(GuestAddress(access.address), Int(access.count), in: memory)
          }
          return data.map { .success(.dma(access, $0)) } ?? refuse(access)
        case .writeDMA(let access, let data):
          let done: Void? = try perform(.write, access, data, in: memory) {
            () throws(GuestMemoryError) in
            try Self.write(data, GuestAddress(access.address), in: memory)
          }
          return done.map { .success(.wroteDMA(access)) } ?? refuse(access)
        default: return .failure(VfioUserRefusal(errorNumber: ENOTSUP))
        }
      } catch {
        log.warning("server: \(error)")
        return .failure(VfioUserRefusal(errorNumber: EFAULT))
      }
    }
  }

  /// Does `body` if the server may use that memory; `nil` if not.
  private func perform<Result>(
    _ use: WindowQueue.Use,
    _ access: VfioUserDMAAccess,
    _ data: [UInt8] = [],
    in memory: GuestMemory,
    _ body: () throws(GuestMemoryError) -> Result
  ) throws(GuestMemoryError) -> Result? {
    guard let window else { return try body() }
    guard memory.contains(GuestAddress(access.address), count: access.count) else {
      throw GuestMemoryError(address: GuestAddress(access.address), count: access.count)
    }
    return try window.access(use, access.address, access.count, in: memory, written: data, body)
  }

  private func refuse(
    _ access: VfioUserDMAAccess
  ) -> Result<VfioUserReply, VfioUserRefusal> {
    let address = GuestAddress(access.address)
    log.warning(
      "server: \(access.count) bytes at \(address) are not the driver's queues' or buffers"
    )
    return .failure(VfioUserRefusal(errorNumber: EFAULT))
  }

  /// Reads bytes; those of an aligned word with one access, as the words of a queue are.
  private static func read(
    _ address: GuestAddress,
    _ count: Int,
    in memory: GuestMemory
  ) throws(GuestMemoryError) -> [UInt8] {
    let word: UInt64
    switch count {
    case 2: word = UInt64(try memory.load16(at: address))
    case 4: word = UInt64(try memory.load32(at: address))
    case 8: word = try memory.load64(at: address)
    default: return try memory.read(at: address, count: count)
    }
    return (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
  }

  /// Writes bytes; those of an aligned word with one access.
  private static func write(
    _ bytes: [UInt8],
    _ address: GuestAddress,
    in memory: GuestMemory
  ) throws(GuestMemoryError) {
    guard [2, 4, 8].contains(bytes.count) else { return try memory.write(bytes, at: address) }
    let word = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    switch bytes.count {
    case 2: try memory.store16(UInt16(truncatingIfNeeded: word), at: address)
    case 4: try memory.store32(UInt32(truncatingIfNeeded: word), at: address)
    default: try memory.store64(word, at: address)
    }
  }
}
