import KVM
import Machine
import Testing

@Suite struct CPUIDTests {
  /// What KVM supports on an imagined processor; registers are all ones where nothing else matters.
  private static func supported(vendor: [UInt32]) -> [CPUIDEntry] {
    var entries = [
      CPUIDEntry(function: 0, eax: 0xD, ebx: vendor[0], ecx: vendor[2], edx: vendor[1]),
      CPUIDEntry(
        function: 1,
        eax: 0x806F8,
        ebx: 0xAB12_0800,
        ecx: 0xFEFF_FFFF,
        edx: 0xFFFF_FFFF
      ),
      CPUIDEntry(function: 5, eax: 64, ebx: 64, ecx: 3, edx: 0x20),
      CPUIDEntry(function: 0xA, eax: 0x0730_0402, edx: 0x603),
      CPUIDEntry(function: 0x4000_0000, eax: 0x4000_0001, ebx: 0x4B4D_564B),
      CPUIDEntry(function: 0x4000_0001, eax: 0x0100_7EFB),
      CPUIDEntry(function: 0x8000_0000, eax: 0x8000_001E),
      CPUIDEntry(function: 0x8000_0001, ecx: 0xFFFF_FFFD, edx: 0x2C10_0800),
      CPUIDEntry(function: 0x8000_0008, eax: 0x3028, ecx: 0x707F),
      CPUIDEntry(function: 0x8000_001E, eax: 77, ebx: 0x101, ecx: 0x300),
    ]
    // Caches: level 1 data and level 3, with the host's sharing.
    for (index, level) in [1, 3].enumerated() {
      for function in [4, 0x8000_001D] as [UInt32] {
        entries.append(
          CPUIDEntry(
            function: function,
            index: UInt32(index),
            flags: .significantIndex,
            eax: 0xFC1F_C000 | UInt32(level) << 5 | 1
          )
        )
      }
    }
    return entries
  }

  private static let intel = supported(vendor: [0x756E_6547, 0x4965_6E69, 0x6C65_746E])
  private static let amd = supported(vendor: [0x6874_7541, 0x6974_6E65, 0x444D_4163])

  private func leaf(
    _ function: UInt32,
    _ index: UInt32 = 0,
    in entries: [CPUIDEntry]
  ) -> CPUIDEntry? {
    entries.first {
      $0.function == function && ($0.index == index || !$0.flags.contains(.significantIndex))
    }
  }

  private func builder(_ supported: [CPUIDEntry], cpus: Int) -> CPUIDBuilder {
    var builder = CPUIDBuilder(supported: supported, topology: CPUTopology(count: cpus))
    builder.tscKHz = 2_445_408
    builder.hasTSCDeadlineTimer = true
    return builder
  }

  @Test(arguments: [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (255, 8)] as [(Int, UInt32)])
  func coresAreNumberedInAsFewBitsAsTheyNeed(count: Int, bits: UInt32) {
    #expect(CPUTopology(count: count).coreBits == bits)
  }

  @Test func eachCPUHasItsOwnIdentifierEverywhere() throws {
    let builder = builder(Self.amd, cpus: 4)
    for index in 0..<4 {
      let entries = builder.entries(forCPU: index)
      #expect(leaf(1, in: entries).map { $0.ebx >> 24 } == UInt32(index))
      #expect(leaf(0xB, 0, in: entries)?.edx == UInt32(index))
      #expect(leaf(0xB, 2, in: entries)?.edx == UInt32(index))
      #expect(leaf(0x8000_001E, in: entries)?.eax == UInt32(index))
    }
  }

  @Test func theTopologyLeavesCountCores() throws {
    let entries = builder(Self.intel, cpus: 3).entries(forCPU: 0)
    let first = try #require(leaf(1, in: entries))
    #expect(first.ebx >> 16 & 0xFF == 4)
    #expect(first.ebx >> 8 & 0xFF == 8)  // CLFLUSH stays
    #expect(first.edx >> 28 & 1 == 1)
    let threads = try #require(leaf(0xB, 0, in: entries))
    #expect([threads.eax, threads.ebx, threads.ecx] == [0, 1, 0x100])
    let cores = try #require(leaf(0xB, 1, in: entries))
    #expect([cores.eax, cores.ebx, cores.ecx] == [2, 3, 0x201])
    let none = try #require(leaf(0xB, 2, in: entries))
    #expect([none.eax, none.ebx, none.ecx] == [0, 0, 2])
    #expect(try #require(leaf(4, 0, in: entries)).eax == 3 << 26 | 1 << 5 | 1)
    #expect(try #require(leaf(4, 1, in: entries)).eax == 3 << 26 | 3 << 14 | 3 << 5 | 1)
  }

  @Test func aSingleCPUHasNoNeighbours() throws {
    let entries = builder(Self.amd, cpus: 1).entries(forCPU: 0)
    let first = try #require(leaf(1, in: entries))
    #expect(first.ebx >> 16 & 0xFF == 1)
    #expect(first.edx >> 28 & 1 == 0)
    #expect(leaf(0x8000_0008, in: entries)?.ecx == 0)
    #expect(leaf(0x8000_0001, in: entries).map { $0.ecx >> 1 & 1 } == 0)
  }

  @Test func theAMDLeavesCountCores() throws {
    let entries = builder(Self.amd, cpus: 4).entries(forCPU: 3)
    #expect(leaf(0x8000_0001, in: entries).map { $0.ecx >> 1 & 1 } == 1)
    #expect(try #require(leaf(0x8000_0008, in: entries)).ecx == 2 << 12 | 3)
    #expect(leaf(0x8000_0008, in: entries)?.eax == 0x3028)
    let extended = try #require(leaf(0x8000_001E, in: entries))
    #expect([extended.eax, extended.ebx, extended.ecx, extended.edx] == [3, 3, 0, 0])
    #expect(leaf(0x8000_001D, 1, in: entries).map { $0.eax >> 14 & 0xFFF } == 3)
    #expect(leaf(0x8000_001D, 0, in: entries).map { $0.eax >> 14 & 0xFFF } == 0)
  }

  @Test func theTimerNeedsNoPIT() throws {
    let entries = builder(Self.amd, cpus: 2).entries(forCPU: 0)
    let first = try #require(leaf(1, in: entries))
    #expect(first.ecx >> 24 & 1 == 1)  // TSC deadline
    #expect(leaf(6, in: entries)?.eax == 4)  // ARAT
    let timing = try #require(leaf(0x4000_0010, in: entries))
    #expect([timing.eax, timing.ebx] == [2_445_408, 1_000_000])
    #expect(leaf(0x4000_0000, in: entries)?.eax == 0x4000_0010)
    #expect(leaf(0x4000_0001, in: entries)?.eax == 0x0100_7EFB)
    #expect(leaf(0x15, in: entries) == nil)
  }

  @Test(arguments: [2_445_408, 1_000_000, 3_000_000, 800_000, 4_999_999, 2_100_001] as [UInt32])
  func intelsCrystalLeafGivesTheRateIn32BitArithmetic(khz: UInt32) throws {
    var builder = builder(Self.intel, cpus: 2)
    builder.tscKHz = khz
    let entries = builder.entries(forCPU: 0)
    let crystal = try #require(leaf(0x15, in: entries))
    #expect(crystal.ecx == 1_000_000_000)
    let (product, overflow) = (crystal.ecx / 1000).multipliedReportingOverflow(by: crystal.ebx)
    #expect(!overflow)
    let rate = Double(product) / Double(crystal.eax)
    #expect(abs(rate - Double(khz)) / Double(khz) < 0.0003)
    #expect(leaf(0, in: entries).map { $0.eax >= 0x16 } == true)
    #expect(leaf(0x16, in: entries)?.eax == (khz + 500) / 1000)
  }

  @Test func withoutAKnownRateNothingIsClaimed() {
    var builder = builder(Self.intel, cpus: 2)
    builder.tscKHz = nil
    let entries = builder.entries(forCPU: 0)
    #expect(leaf(0x15, in: entries) == nil)
    #expect(leaf(0x4000_0010, in: entries) == nil)
    #expect(leaf(0x4000_0000, in: entries)?.eax == 0x4000_0001)
  }

  @Test func whatTheMachineLacksIsNotOffered() throws {
    var builder = builder(Self.amd, cpus: 2)
    builder.hasTSCDeadlineTimer = false
    builder.hasKernelLocalAPIC = false
    let entries = builder.entries(forCPU: 0)
    let first = try #require(leaf(1, in: entries))
    #expect(first.ecx >> 31 & 1 == 1)  // a hypervisor
    for bit in [3, 15, 24, 27] { #expect(first.ecx >> UInt32(bit) & 1 == 0, "bit \(bit)") }
    #expect(leaf(5, in: entries).map { $0.eax | $0.ebx | $0.ecx | $0.edx } == 0)
    #expect(leaf(0xA, in: entries).map { $0.eax | $0.edx } == 0)
    for bit in [23, 24, 28, 29] {
      #expect(leaf(0x8000_0001, in: entries).map { $0.ecx >> UInt32(bit) & 1 } == 0)
    }
  }

  @Test func ownLocalAPICsHaveX2APICAndNothingThatNeedsKVMs() throws {
    var builder = builder(Self.intel, cpus: 2)
    builder.supported.append(CPUIDEntry(function: 0x4000_0001, eax: 0xFFFF_FFFF))
    builder.hasKernelLocalAPIC = false
    let entries = builder.entries(forCPU: 0)
    #expect(try #require(leaf(1, in: entries)).ecx >> 21 & 1 == 1)
    let features = try #require(leaf(0x4000_0001, in: entries)).eax
    for bit in [4, 6, 7, 10, 11, 12, 13, 14, 15] { #expect(features >> UInt32(bit) & 1 == 0) }
    for bit in [0, 3, 5, 24] { #expect(features >> UInt32(bit) & 1 == 1) }
  }

  @Test func performanceCountersStayWhereThereAreAny() {
    var builder = builder(Self.intel, cpus: 2)
    builder.hasPerformanceCounters = true
    #expect(leaf(0xA, in: builder.entries(forCPU: 0))?.eax == 0x0730_0402)
  }

  @Test func noLeafAppearsTwice() {
    var supported = Self.intel
    for index in 0..<3 as Range<UInt32> {
      for function in [0xB, 0x1F] as [UInt32] {
        supported.append(
          CPUIDEntry(function: function, index: index, flags: .significantIndex, edx: 9)
        )
      }
    }
    let entries = builder(supported, cpus: 4).entries(forCPU: 1)
    let keys = entries.map { UInt64($0.function) << 32 | UInt64($0.index) }
    #expect(Set(keys).count == keys.count)
  }

  @Test func theAddressWidthComesFromTheSupportedSet() {
    #expect(builder(Self.amd, cpus: 1).physicalAddressBits == 40)
    #expect(builder([], cpus: 1).physicalAddressBits == 36)
  }
}
