import CBusPeer
import DeviceModel

/// A device that does as little as the peer's.
final class ValueDevice: BusDevice {
  private let value: UInt64

  init(_ value: UInt64) { self.value = value }

  func read(_ access: BusAccess) -> UInt64 { value &+ access.offset }
  func write(_ value: UInt64, _ access: BusAccess) {}
}

/// The same ranges on a bus and on the peer, and one sequence of addresses for both.
@safe
final class Layout: @unchecked Sendable {
  // Sendable: nothing changes after `init`, but the bus, which may.
  static let base: UInt64 = 0xC000_0000
  static let stride: UInt64 = 0x1000
  static let size: UInt64 = 0x100
  /// Long enough that no branch predictor learns it by heart.
  static let addressCount = 1 << 16

  let bus = Bus()
  let peer: UnsafeMutablePointer<peer_bus>
  let addresses: UnsafeMutableBufferPointer<UInt64>

  init(deviceCount: Int) throws(BusError) {
    for index in 0..<UInt64(deviceCount) {
      let range = BusRange(Self.base + index * Self.stride, size: Self.size)
      _ = try bus.register(ValueDevice(index), name: "device \(index)", at: [range])
    }
    unsafe peer = peer_bus_create(deviceCount, Self.base, Self.stride, Self.size)
    unsafe addresses = .allocate(capacity: Self.addressCount)
    var random = SplitMix64(state: 0x4150_5553)
    for index in unsafe addresses.indices {
      let device = random.next() % UInt64(deviceCount)
      let offset = random.next() % (Self.size / 4) * 4
      unsafe addresses.initializeElement(
        at: index,
        to: Self.base + device * Self.stride + offset
      )
    }
  }

  deinit {
    unsafe peer_bus_destroy(peer)
    unsafe addresses.deallocate()
  }

  /// Reads every address once on the bus.
  @inline(never)
  func readAll(_ view: BusView) -> UInt64 {
    var sum: UInt64 = 0
    for index in 0..<Self.addressCount {
      unsafe sum &+= view.read(addresses[index], width: 4)
    }
    return sum
  }

  /// Reads every address once with the plain C search.
  @inline(never)
  func readAllInC() -> UInt64 {
    var sum: UInt64 = 0
    for index in 0..<Self.addressCount {
      unsafe sum &+= peer_bus_read(peer, addresses[index], 4)
    }
    return sum
  }

  /// Reads every address once with the branch-free C search.
  @inline(never)
  func readAllInBranchlessC() -> UInt64 {
    var sum: UInt64 = 0
    for index in 0..<Self.addressCount {
      unsafe sum &+= peer_bus_read_branchless(peer, addresses[index], 4)
    }
    return sum
  }
}

/// Steele, Lea and Flood's generator: small, and the same sequence on every run.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value &>> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value &>> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value &>> 31
  }
}
