import DeviceModel
import Synchronization
import Testing

/// Random updates and accesses, compared byte by byte with a list that is searched from front to back.
@Suite struct BusModelTests {
  /// A device whose bytes tell which device, region and offset they are from.
  final class TaggedDevice: BusDevice {
    let tag: UInt64
    let sizes: [UInt64]
    let faults = Mutex<[BusAccess]>([])
    let written = Mutex<[UInt64: UInt8]>([:])

    init(tag: UInt64, sizes: [UInt64]) {
      self.tag = tag
      self.sizes = sizes
    }

    static func byte(_ tag: UInt64, _ region: Int, _ offset: UInt64) -> UInt8 {
      UInt8(truncatingIfNeeded: tag &* 31 &+ UInt64(region) &* 7 &+ offset)
    }

    func check(_ access: BusAccess) {
      let isWhole = [1, 2, 4, 8].contains(access.width)
      let size = sizes[access.region]
      let isWithin = access.offset < size && size - access.offset >= UInt64(access.width)
      if !isWhole || !isWithin { faults.withLock { $0.append(access) } }
    }

    func read(_ access: BusAccess) -> UInt64 {
      check(access)
      return (0..<access.width).reduce(0) {
        let byte = Self.byte(tag, access.region, access.offset &+ UInt64($1))
        return $0 | UInt64(byte) << UInt64(8 * $1)
      }
    }

    func write(_ value: UInt64, _ access: BusAccess) {
      check(access)
      for index in 0..<access.width {
        let byte = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        let key = UInt64(access.region) << 32 | (access.offset &+ UInt64(index))
        written.withLock { $0[key] = byte }
      }
    }
  }

  struct Claim {
    let device: TaggedDevice
    let ticket: BusRegistration
    var bases: [UInt64?]

    func owner(of address: UInt64) -> (region: Int, offset: UInt64)? {
      for (region, base) in bases.enumerated() {
        if let base, address >= base, address - base < device.sizes[region] {
          return (region, address - base)
        }
      }
      return nil
    }
  }

  /// One level: the bus and what it should hold.
  struct Level {
    let bus: Bus
    var claims: [Claim] = []

    func owner(of address: UInt64) -> (device: TaggedDevice, region: Int, offset: UInt64)? {
      for claim in claims {
        if let found = claim.owner(of: address) {
          return (claim.device, found.region, found.offset)
        }
      }
      return nil
    }

    func isFree(_ bases: [UInt64?], _ sizes: [UInt64], except: Int? = nil) -> Bool {
      var taken: Set<UInt64> = []
      for (base, size) in zip(bases, sizes) {
        guard let base else { continue }
        if base > bus.space.last || size - 1 > bus.space.last - base { return false }
        for address in base...base + (size - 1) {
          if !taken.insert(address).inserted { return false }
          for (index, claim) in claims.enumerated() where index != except {
            if claim.owner(of: address) != nil { return false }
          }
        }
      }
      return true
    }
  }

  @Test(
    arguments: [
      (Bus.Space.memory, 0xFEE0_0000), (.memory, 0), (.memory, .max - 0xFF), (.port, 0),
      (.port, 0xFF00),
    ] as [(Bus.Space, UInt64)],
    [1, 2, 3, 4] as [UInt64]
  )
  func agreesWithALinearSearch(window: (Bus.Space, UInt64), seed: UInt64) throws {
    let (space, start) = window
    var random = Generator(state: seed)
    let view = BusView(of: Bus(space))
    var levels = [Level(bus: view.local), Level(bus: view.bus)]
    var unclaimed: UInt64 = 0
    for step in 0..<UInt64(1500) {
      let which = random.next() % 3 == 0 ? 0 : 1
      switch random.next() % 8 {
      case 0:
        let sizes = (0...random.next() % 3).map { _ in 1 + random.next() % 20 }
        let bases = sizes.map { _ in
          random.next() % 4 == 0 ? nil : start &+ random.next() % 256
        }
        let device = TaggedDevice(tag: step, sizes: sizes)
        let ranges = zip(bases, sizes).map { base, size in
          base.map { BusRange($0, size: size) } ?? .unmapped(size: size)
        }
        let ticket = try? levels[which].bus.register(device, name: "\(step)", at: ranges)
        #expect((ticket != nil) == levels[which].isFree(bases, sizes))
        if let ticket {
          levels[which].claims.append(Claim(device: device, ticket: ticket, bases: bases))
        }
      case 1 where !levels[which].claims.isEmpty:
        let index = Int(random.next() % UInt64(levels[which].claims.count))
        let claim = levels[which].claims[index]
        var bases = claim.bases
        let region = Int(random.next() % UInt64(bases.count))
        bases[region] = random.next() % 4 == 0 ? nil : start &+ random.next() % 256
        let isFree = levels[which].isFree(bases, claim.device.sizes, except: index)
        let moved: Void? = try? levels[which].bus.move(
          claim.ticket,
          region: region,
          to: bases[region]
        )
        #expect((moved != nil) == isFree)
        if isFree { levels[which].claims[index].bases = bases }
      case 2 where levels[which].claims.count > 6:
        let index = Int(random.next() % UInt64(levels[which].claims.count))
        levels[which].bus.remove(levels[which].claims[index].ticket)
        levels[which].claims.remove(at: index)
      default:
        let address = start &+ random.next() % 256
        let width = 1 + Int(random.next() % 8)
        var expected: UInt64 = 0
        var hasGap = false
        let owners = (0..<UInt64(width)).map { index in
          let (byte, isBeyond) = address.addingReportingOverflow(index)
          return isBeyond ? nil : levels[0].owner(of: byte) ?? levels[1].owner(of: byte)
        }
        for (index, owner) in owners.enumerated() {
          let byte = owner.map { TaggedDevice.byte($0.device.tag, $0.region, $0.offset) } ?? 0xFF
          hasGap = hasGap || owner == nil
          expected |= UInt64(byte) << UInt64(8 * index)
        }
        #expect(view.read(address, width: width) == expected)
        let value = random.next()
        view.write(value, at: address, width: width)
        for (index, owner) in owners.enumerated() {
          guard let owner else { continue }
          let key = UInt64(owner.region) << 32 | owner.offset
          let byte = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
          #expect(owner.device.written.withLock { $0[key] } == byte)
        }
        unclaimed += hasGap ? 2 : 0
      }
    }
    #expect(view.unclaimedAccesses == unclaimed)
    let devices = levels.flatMap(\.claims).map(\.device)
    #expect(devices.allSatisfy { $0.faults.withLock { $0.isEmpty } })
    let mapped = levels[1].claims.flatMap(\.bases).compactMap(\.self)
    #expect(view.bus.mappings.map(\.addresses.lowerBound) == mapped.sorted())
  }

  @Test(arguments: [2, 3, 63, 64, 65, 1000])
  func findsEveryRangeOfATable(count: UInt64) throws {
    let bus = Bus()
    for index in 0..<count {
      let device = TaggedDevice(tag: index, sizes: [2])
      _ = try bus.register(device, name: "\(index)", at: [BusRange(index * 3, size: 2)])
    }
    let view = BusView(of: bus)
    let values = (0..<count * 3).map { UInt8(truncatingIfNeeded: view.read($0, width: 1)) }
    let expected = (0..<count * 3).map {
      $0 % 3 == 2 ? 0xFF : TaggedDevice.byte($0 / 3, 0, $0 % 3)
    }
    #expect(values == expected)
  }
}

/// A small generator, the same on every run.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value &>> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value &>> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value &>> 31
  }
}
