import DeviceModel
import GuestMemory
import Synchronization

/// Copies the guest's memory: the driver says from where, to where and how much, and is interrupted at the end.
final class Copier: PCIDevice {
  static let identity = PCIIdentity(vendorID: 0x1234, deviceID: 0xC0B1, classCode: 0x08_80_00)
  static let region = PCIRegion(0, size: 32, widths: .four)
  static let profile = PCIDeviceProfile("copier", identity, regions: [region], vectorCount: 1)
  static let model = PCIDeviceModel(profile) { Copier($0) }

  /// The registers, of 32 bits each: `start` begins, and `outcome` says 1 for done or 2 for failed, until it is written.
  private enum Register: Int { case source, sourceHigh, target, targetHigh, count, start, outcome }
  private static let initial = [UInt32](repeating: 0, count: 8)

  private let host: DeviceHost
  private let words = Mutex(Copier.initial)

  init(_ host: DeviceHost) { self.host = host }

  func read(_ access: BusAccess) -> UInt64 {
    words.withLock { UInt64($0[Int(access.offset / 4)]) }
  }

  func write(_ value: UInt64, _ access: BusAccess) {
    let index = Int(access.offset / 4)
    words.withLock { words in
      words[index] = index == Register.outcome.rawValue ? 0 : UInt32(truncatingIfNeeded: value)
      switch Register(rawValue: index) {
      case .start:
        words[Register.outcome.rawValue] = copy(words)
        host.interrupts.request()
      case .outcome: host.interrupts.withdraw()
      default: break
      }
    }
  }

  private func copy(_ words: [UInt32]) -> UInt32 {
    let addresses = [0, 2].map { GuestAddress(UInt64(words[$0 + 1]) << 32 | UInt64(words[$0])) }
    let count = Int(min(words[Register.count.rawValue], 1 << 16))
    do throws(DMAError) {
      try host.memory.write(host.memory.read(at: addresses[0], count: count), at: addresses[1])
      return 1
    } catch {
      host.report("\(count) bytes from \(addresses[0]) to \(addresses[1]): \(error)")
      return 2
    }
  }

  func reset() { words.withLock { $0 = Copier.initial } }

  func save() -> [UInt8] { StateWriter(version: 1, words.withLock { $0 }).bytes }

  func restore(_ state: [UInt8]) throws(DeviceStateError) {
    let restored: [UInt32] = try StateReader.words(8, in: state, version: 1)
    words.withLock { $0 = restored }
    if restored[Register.outcome.rawValue] != 0 { host.interrupts.request() }
  }
}
