import DeviceModel
import HostOS
import Synchronization

/// What a balloon and the thread of its queues have in common.
final class BalloonShared: Sendable {
  /// Wakes the thread: statistics are wanted.
  let wake: EventFD
  /// Signalled when the driver has told some.
  let told: EventFD
  private let state: Mutex<State>
  private let wantsStatistics = Atomic(false)
  private let discarded = Atomic<UInt64>(0)

  private struct State {
    var target: UInt32 = 0
    var actual: UInt32 = 0
    var poison: UInt32 = 0
    var statistics: BalloonStatistics?
    var statisticsCount: UInt64 = 0
    var signals: VirtioSignals?
  }

  init(target: UInt32) throws(SystemError) {
    wake = try EventFD()
    told = try EventFD()
    state = Mutex(State(target: target))
  }

  // MARK: Life

  func begin(_ signals: VirtioSignals) { state.withLock { $0.signals = signals } }

  /// Back to what a driver finds that begins.
  func end() {
    state.withLock { state in
      state.signals = nil
      state.actual = 0
      state.poison = 0
      state.statistics = nil
    }
  }

  // MARK: Configuration

  var configuration: ConfigurationBytes {
    let (target, actual, poison) = state.withLock { ($0.target, $0.actual, $0.poison) }
    var bytes = ConfigurationBytes()
    bytes.set(target, at: BalloonConfiguration.targetOffset)
    bytes.set(actual, at: BalloonConfiguration.actualOffset)
    bytes.set(poison, at: BalloonConfiguration.poisonOffset)
    return bytes
  }

  /// Takes what the driver writes to the configuration; it may write two of its fields.
  func write(_ value: UInt64, offset: UInt64, width: Int) {
    state.withLock { state in
      state.actual = Self.merge(
        value,
        offset,
        width,
        state.actual,
        BalloonConfiguration.actualOffset
      )
      state.poison = Self.merge(
        value,
        offset,
        width,
        state.poison,
        BalloonConfiguration.poisonOffset
      )
    }
  }

  /// The field at `place` after a write of `width` bytes at `offset`.
  private static func merge(
    _ value: UInt64,
    _ offset: UInt64,
    _ width: Int,
    _ field: UInt32,
    _ place: Int
  ) -> UInt32 {
    var result = field
    for index in 0..<min(max(width, 0), 8) {
      let byte = offset &+ UInt64(index) &- UInt64(place)
      guard byte < 4 else { continue }
      let new = UInt32(truncatingIfNeeded: value >> (8 * UInt64(index)) & 0xFF)
      result = result & ~(0xFF << (8 * UInt32(byte))) | new << (8 * UInt32(byte))
    }
    return result
  }

  // MARK: Size

  var target: UInt32 { state.withLock { $0.target } }
  var actual: UInt32 { state.withLock { $0.actual } }
  /// What the driver fills its free pages with.
  var poison: UInt32 { state.withLock { $0.poison } }

  func setTarget(_ target: UInt32) {
    let signals: VirtioSignals? = state.withLock { state in
      guard state.target != target else { return nil }
      state.target = target
      return state.signals
    }
    signals?.configurationChanged()
  }

  // MARK: State

  var savedState: [UInt8] {
    let (actual, poison) = state.withLock { ($0.actual, $0.poison) }
    var writer = FieldWriter()
    writer.append(actual)
    writer.append(poison)
    return writer.bytes
  }

  func restore(_ bytes: [UInt8]) throws(VirtioStateError) {
    var reader = FieldReader(bytes)
    guard let actual = reader.take(UInt32.self), let poison = reader.take(UInt32.self),
      reader.count == 0
    else { throw .badDevice("\(bytes.count) bytes are no state of a balloon") }
    state.withLock { ($0.actual, $0.poison) = (actual, poison) }
  }

  // MARK: Statistics

  /// What the driver told last, and how often it has.
  var statistics: (latest: BalloonStatistics?, count: UInt64) {
    state.withLock { ($0.statistics, $0.statisticsCount) }
  }

  func noteStatistics(_ statistics: BalloonStatistics) {
    state.withLock { state in
      state.statistics = statistics
      state.statisticsCount &+= 1
    }
    told.signal()
  }

  func requestStatistics() {
    wantsStatistics.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Whether they are wanted; asks once.
  func takeRequest() -> Bool {
    wantsStatistics.exchange(false, ordering: .acquiringAndReleasing)
  }

  // MARK: Counters

  /// The bytes that were given back to the host.
  var discardedBytes: UInt64 { discarded.load(ordering: .relaxed) }
  func noteDiscarded(_ bytes: UInt64) { discarded.wrappingAdd(bytes, ordering: .relaxed) }
}
