import DeviceModel
import Synchronization

/// A device that answers from a closure and remembers what reached it.
final class RecordingDevice: BusDevice {
  enum Call: Equatable {
    case read(BusAccess)
    case write(UInt64, BusAccess)
  }

  private let log = Mutex<[Call]>([])
  private let answer: @Sendable (BusAccess) -> UInt64
  private let onDeinit: @Sendable () -> Void

  /// By default every byte reads as its offset.
  init(
    answer: @escaping @Sendable (BusAccess) -> UInt64 = offsets,
    onDeinit: @escaping @Sendable () -> Void = {}
  ) {
    self.answer = answer
    self.onDeinit = onDeinit
  }

  deinit { onDeinit() }

  var calls: [Call] { log.withLock { $0 } }

  func read(_ access: BusAccess) -> UInt64 {
    log.withLock { $0.append(.read(access)) }
    return answer(access)
  }

  func write(_ value: UInt64, _ access: BusAccess) {
    log.withLock { $0.append(.write(value, access)) }
    _ = answer(access)
  }
}

/// A value whose byte n is the low byte of the offset of byte n.
@Sendable func offsets(_ access: BusAccess) -> UInt64 {
  (0..<access.width).reduce(0) { value, byte in
    value | ((access.offset &+ UInt64(byte)) & 0xFF) << UInt64(8 * byte)
  }
}
