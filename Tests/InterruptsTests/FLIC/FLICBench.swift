import Interrupts
import Synchronization
import Testing

/// A controller and its interface, as a program that has only the kernel's headers sees it.
struct FLICBench {
  let slot = FLICSlot()
  let flic: FloatingInterruptController

  init(_ configuration: FLICConfiguration = FLICConfiguration()) {
    guard let flic = try? slot.create(configuration) else { preconditionFailure("a new slot") }
    self.flic = flic
  }

  func set(
    _ group: UInt32,
    attr: UInt64 = 0,
    flags: UInt32 = 0,
    _ bytes: [UInt8] = []
  ) throws(FLICError) {
    try flic.setAttribute(group: group, attr: attr, flags: flags, data: bytes.span)
  }

  /// Adds records through the interface.
  func enqueue(_ records: [UInt8]) throws(FLICError) {
    try set(2, attr: UInt64(records.count), records)
  }

  /// Gets an attribute into `room` bytes that were 0xEE.
  func get(_ group: UInt32, attr: UInt64, room: Int) throws(FLICError) -> (Int, [UInt8]) {
    var bytes = [UInt8](repeating: 0xEE, count: room)
    var span = bytes.mutableSpan
    let count = try flic.getAttribute(group: group, attr: attr, data: &span)
    return (count, bytes)
  }

  /// All pending records.
  func all() throws(FLICError) -> [UInt8] {
    let room = 72 * max(1, flic.pendingCount)
    let (count, bytes) = try get(1, attr: UInt64(room), room: room)
    return Array(bytes.prefix(72 * count))
  }

  func setFirst(_ group: UInt32, _ bytes: [UInt8] = []) throws(FLICError) {
    try flic.setAttribute(firstGeneration: group, data: bytes.span)
  }

  func getFirst(_ group: UInt32, room: Int = 72) throws(FLICError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: room)
    var span = bytes.mutableSpan
    try flic.getAttribute(firstGeneration: group, data: &span)
    return bytes
  }

  /// The error number of what `body` throws, 0 if it does not.
  func code(_ body: () throws(FLICError) -> Void) -> Int32 {
    do throws(FLICError) {
      try body()
      return 0
    } catch {
      return error.errno
    }
  }
}

/// The `bytes` lowest bytes of `value`, the most significant first.
func big(_ value: UInt64, _ bytes: Int) -> [UInt8] {
  (0..<bytes).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
}

/// Records, put together by hand.
enum Record {
  static func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: 72 - bytes.count)
  }

  static func io(
    _ number: UInt16,
    isc: UInt64,
    parameter: UInt64 = 0,
    type: UInt64? = nil
  ) -> [UInt8] {
    padded(
      big(type ?? UInt64(number), 8) + big(1, 2) + big(UInt64(number), 2) + big(parameter, 4)
        + big(isc << 27, 4)
    )
  }

  static func external(_ type: UInt64, _ parameter: UInt64, _ parameter64: UInt64) -> [UInt8] {
    padded(big(type, 8) + big(parameter, 4) + big(0, 4) + big(parameter64, 8))
  }

  static func service(_ parameter: UInt64) -> [UInt8] { external(0xFFFF_2401, parameter, 0) }
  static func virtio(_ parameter: UInt64, _ parameter64: UInt64 = 0) -> [UInt8] {
    external(0xFFFF_2603, parameter, parameter64)
  }
  static func pageFault(_ token: UInt64) -> [UInt8] { external(0xFFFE_0005, 0, token) }
  static func machineCheck(cr14: UInt64 = 1 << 28, _ code: UInt64) -> [UInt8] {
    padded(big(0xFFFE_1000, 8) + big(cr14, 8) + big(code, 8))
  }
}

/// A processor that is only looked at.
final class FakeTarget: FloatingInterruptTarget {
  struct State {
    var activity = ProcessorActivity.running
    var classes = FloatingInterruptClasses.all
    var wakes = 0
    var onWake: (@Sendable () -> Void)?
  }

  private let state: Mutex<State>

  init(_ activity: ProcessorActivity = .running, _ classes: FloatingInterruptClasses = .all) {
    state = Mutex(State(activity: activity, classes: classes))
  }

  var wakes: Int { state.withLock { $0.wakes } }
  var activity: ProcessorActivity {
    get { state.withLock { $0.activity } }
    set { state.withLock { $0.activity = newValue } }
  }

  func onWake(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onWake = body } }

  func canTake(_ interruptClass: FloatingInterruptClasses) -> Bool {
    state.withLock { $0.classes.contains(interruptClass) }
  }

  func wake() {
    let onWake = state.withLock { state in
      state.wakes += 1
      return state.onWake
    }
    onWake?()
  }
}
