public import KVM

/// What each vCPU answers to CPUID, from what KVM on this host supports.
///
/// A pure function of its fields. Besides the topology, the point of it is time: with an invariant
/// TSC of known rate, a local APIC timer that never stops (ARAT) and TSC deadlines, Linux needs no
/// PIT, HPET or PM timer to calibrate anything.
public struct CPUIDBuilder: Sendable {
  /// What `KVM_GET_SUPPORTED_CPUID` answered.
  public var supported: [CPUIDEntry]
  /// How many CPUs there are, and their numbers.
  public var topology: CPUTopology
  /// The rate of the guest's TSC in kHz (`KVM_GET_TSC_KHZ`), if it is known and constant.
  public var tscKHz: UInt32?
  /// Whether KVM has the TSC deadline timer (`KVM_CAP_TSC_DEADLINE_TIMER`).
  public var hasTSCDeadlineTimer = false
  /// Whether the local APICs are KVM's, and with them what KVM offers guests that talk to it.
  public var hasKernelLocalAPIC = true
  /// Whether the vCPUs have performance counters.
  public var hasPerformanceCounters = false

  /// KVM's local APIC timer counts nanoseconds unless told otherwise: 1 GHz, in kHz.
  static var apicBusKHz: UInt32 { 1_000_000 }

  /// Starts from what KVM supports.
  public init(supported: [CPUIDEntry], topology: CPUTopology) {
    self.supported = supported
    self.topology = topology
  }

  /// Bits in a guest-physical address (leaf 0x8000_0008 EAX[7:0]); 36 if the leaf is missing.
  ///
  /// (AMD64 Architecture Programmer's Manual volume 3, E.4.7: without the leaf it is 36.)
  public var physicalAddressBits: Int {
    supported.first { $0.function == 0x8000_0008 }.map { Int($0.eax & 0xFF) } ?? 36
  }

  /// The answers of the CPU with this index, for `KVM_SET_CPUID2`.
  public func entries(forCPU index: Int) -> [CPUIDEntry] {
    precondition((0..<topology.count).contains(index), "no CPU \(index) of \(topology.count)")
    var table = CPUIDTable(supported)
    let identifier = topology.apicID(ofCPU: index)
    setFeatures(&table, identifier)
    setTopology(&table, identifier)
    if table.isAMD { setAMDTopology(&table, identifier) }
    setPower(&table)
    if !hasPerformanceCounters { removePerformanceCounters(&table) }
    setTime(&table)
    return table.entries
  }

  /// Leaf 1: identity and features.
  private func setFeatures(_ table: inout CPUIDTable, _ identifier: UInt32) {
    table.update(1) { leaf in
      // SDM volume 2A, CPUID, table 3-8. EBX[31:24]: initial APIC ID; EBX[23:16]: "maximum number
      // of addressable IDs for logical processors in this physical package".
      let addressable: UInt32 = min(1 << topology.coreBits, 255)
      leaf.ebx = leaf.ebx & 0xFFFF | addressable << 16 | (identifier & 0xFF) << 24
      leaf.set(.edx, bit: 28, topology.count > 1)  // HTT: EBX[23:16] is valid
      // A hypervisor is there: guests look at leaf 0x4000_0000 only then.
      leaf.set(.ecx, bit: 31, true)
      // MONITOR/MWAIT: a vCPU that waits in MWAIT would never leave the host's CPU.
      leaf.set(.ecx, bit: 3, false)
      leaf.set(.ecx, bit: 27, false)  // OSXSAVE mirrors CR4, which is 0 at reset; KVM keeps it
      // SDM volume 3, 11.5.4.1: LVT deadline mode. Older kernels leave it out of the supported set
      // though they have it, and a timer set in a mode that CPUID denies never fires.
      leaf.set(.ecx, bit: 24, hasTSCDeadlineTimer)
      // Our own local APICs have x2APIC mode, whatever KVM's have.
      if !hasKernelLocalAPIC { leaf.set(.ecx, bit: 21, true) }
    }
    table.update(5) { $0.clear() }  // MONITOR/MWAIT sizes
    table.update(0x8000_0001) { $0.set(.ecx, bit: 29, false) }  // MONITORX (APM volume 3, E.4.2)
  }

  /// Leaves 4, 0xB and 0x1F: what shares what.
  private func setTopology(_ table: inout CPUIDTable, _ identifier: UInt32) {
    let coresLessOne = (1 << topology.coreBits as UInt32) - 1
    // SDM volume 2A, CPUID leaf 4: EAX[31:26] addressable cores in the package less 1; EAX[25:14]
    // addressable threads that share this cache, less 1. Levels 1 and 2 are each core's own.
    table.updateAll(4) { leaf in
      guard leaf.eax & 0x1F != 0 else { return }
      let sharing = leaf.eax >> 5 & 7 >= 3 ? coresLessOne : 0
      leaf.eax = leaf.eax & 0x3FFF | (sharing & 0xFFF) << 14 | (coresLessOne & 0x3F) << 26
    }
    // SDM volume 2A, leaf 0xB: EAX[4:0] the shift to the next level, EBX logical processors at this
    // one, ECX[15:8] the level's type (1 thread, 2 core, 0 none), EDX the x2APIC ID at every level.
    table.ensureBasic(0xB)
    for function in [0xB, 0x1F] as [UInt32] where function <= table.highestBasic {
      table.remove(function)
      let levels: [(shift: UInt32, count: UInt32, type: UInt32)] = [
        (0, 1, 1), (topology.coreBits, UInt32(topology.count), 2), (0, 0, 0),
      ]
      for (level, entry) in levels.enumerated() {
        table.append(
          CPUIDEntry(
            function: function,
            index: UInt32(level),
            flags: .significantIndex,
            eax: entry.shift,
            ebx: entry.count,
            ecx: UInt32(level) | entry.type << 8,
            edx: identifier
          )
        )
      }
    }
  }

  /// AMD's leaves for the same (AMD64 Architecture Programmer's Manual volume 3, E.4 and E.5).
  private func setAMDTopology(_ table: inout CPUIDTable, _ identifier: UInt32) {
    let last = UInt32(topology.count - 1)
    // CmpLegacy: the logical processors of leaf 1 are cores, not threads.
    table.update(0x8000_0001) { $0.set(.ecx, bit: 1, topology.count > 1) }
    // ECX[7:0] cores less 1; ECX[15:12] the APIC ID bits that number them.
    table.update(0x8000_0008) { $0.ecx = $0.ecx & ~0xF0FF | last & 0xFF | topology.coreBits << 12 }
    table.updateAll(0x8000_001D) { leaf in
      guard leaf.eax & 0x1F != 0 else { return }
      let sharing = leaf.eax >> 5 & 7 >= 3 ? last : 0
      leaf.eax = leaf.eax & 0x3FFF | (sharing & 0xFFF) << 14
    }
    // EAX: the extended APIC ID; EBX: core ID with one thread each; ECX: one node, number 0.
    table.update(0x8000_001E) { leaf in
      leaf.eax = identifier
      leaf.ebx = identifier & 0xFF
      leaf.ecx = 0
      leaf.edx = 0
    }
    table.remove(0x8000_0026)  // extended topology: the host's, and none of ours
  }

  /// Leaf 6: no power management but a timer that never stops.
  private func setPower(_ table: inout CPUIDTable) {
    // SDM volume 2A, leaf 6 EAX[2], ARAT: the APIC timer runs in every idle state. Without it Linux
    // wants another clock to be woken by, which is the PIT or the HPET.
    table.ensureBasic(6)
    table.update(6, adding: true) { leaf in
      leaf.clear()
      leaf.eax = 1 << 2
    }
  }

  private func removePerformanceCounters(_ table: inout CPUIDTable) {
    table.update(0xA) { $0.clear() }  // SDM volume 3, 20.2: version 0 is no counters
    table.update(1) { $0.set(.ecx, bit: 15, false) }  // PDCM: IA32_PERF_CAPABILITIES
    // APM volume 3, E.4.2: extensions of the core's, the northbridge's and the cache's counters.
    table.update(0x8000_0001) { leaf in
      for bit in [23, 24, 28] { leaf.set(.ecx, bit: bit, false) }
    }
    table.update(0x8000_0022) { $0.clear() }
  }

  /// The rates of the TSC and of the local APIC's timer.
  private func setTime(_ table: inout CPUIDTable) {
    table.update(0x4000_0000, adding: true) { leaf in
      // KVM's signature; its features in leaf 0x4000_0001 are those that this host's KVM has.
      leaf.ebx = 0x4B4D_564B
      leaf.ecx = 0x564B_4D56
      leaf.edx = 0x4D
      leaf.eax = max(leaf.eax, tscKHz == nil ? 0x4000_0001 : 0x4000_0010)
    }
    table.update(0x4000_0001, adding: true) { leaf in
      guard !hasKernelLocalAPIC else { return }
      // cpuid.rst: page faults announced by interrupt, ends of interrupts in memory, kicks of halted
      // processors, interrupts to many and yields by hypercall, and polling by the host all need them.
      for bit in [4, 6, 7, 10, 11, 12, 13, 14, 15] { leaf.eax &= ~(1 << UInt32(bit)) }
    }
    guard let tscKHz, tscKHz > 0 else { return }
    // The "timing information" leaf that hypervisors agreed on: EAX the TSC's and EBX the local
    // APIC timer's rate, in kHz.
    table.update(0x4000_0010, adding: true) { leaf in
      leaf.clear()
      leaf.eax = tscKHz
      leaf.ebx = Self.apicBusKHz
    }
    guard table.isIntel else { return }
    // SDM volume 3, 19.7.3: TSC rate = crystal (ECX, Hz) * EBX / EAX. The crystal also drives the
    // APIC timer (11.5.4), so it must be the 1 GHz that KVM's counts. Operating systems multiply
    // kHz in 32 bits, hence a small numerator.
    let ratio = Self.ratio(of: tscKHz, to: Self.apicBusKHz, limit: UInt32.max / Self.apicBusKHz)
    table.ensureBasic(0x16)
    table.update(0x15, adding: true) { leaf in
      leaf.eax = ratio.denominator
      leaf.ebx = ratio.numerator
      leaf.ecx = Self.apicBusKHz * 1000
      leaf.edx = 0
    }
    // SDM volume 2A, leaf 0x16: base, maximum and bus rate in MHz.
    table.update(0x16, adding: true) { leaf in
      leaf.eax = (tscKHz + 500) / 1000
      leaf.ebx = leaf.eax
      leaf.ecx = 100
      leaf.edx = 0
    }
  }

  /// The fraction nearest to `value / base` whose parts do not exceed `limit`, by continued fractions.
  static func ratio(
    of value: UInt32,
    to base: UInt32,
    limit: UInt32
  ) -> (numerator: UInt32, denominator: UInt32) {
    var (rest, divisor) = (UInt64(value), UInt64(base))
    var previous: (UInt64, UInt64) = (0, 1)
    var current: (UInt64, UInt64) = (1, 0)
    while divisor != 0 {
      let quotient = rest / divisor
      let next = (quotient * current.0 + previous.0, quotient * current.1 + previous.1)
      guard max(next.0, next.1) <= UInt64(limit) else { break }
      (previous, current) = (current, next)
      (rest, divisor) = (divisor, rest % divisor)
    }
    // A rate beyond the limit's multiple of the base has no such fraction: give the largest.
    guard current.1 != 0 else { return (limit, 1) }
    return (UInt32(current.0), UInt32(current.1))
  }
}
