import KVM

/// Holds what a guest has seen of its processor against what it would see now.
enum CPUIDComparison {
  /// The rates of clocks, which are measured anew at each start of a host and are put back with the registers: leaves
  /// 0x15 and 0x16 (SDM volume 2A, CPUID), and the hypervisors' own.
  private static var rates: Set<UInt32> { [0x15, 0x16, 0x4000_0010] }

  /// Finds whether a guest that has seen `saved` can go on where `own` is what this host can do.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` with the first leaf that differs.
  static func check(
    _ saved: [CPUIDEntry],
    against own: [CPUIDEntry],
    processor: Int
  ) throws(SnapshotError) {
    let before = saved.filter { !rates.contains($0.function) }
    let now = own.filter { !rates.contains($0.function) }
    for (before, now) in zip(before, now) where before != now {
      throw .mismatch(
        "processor \(processor) whose CPUID leaf \(text(before)), and on this host it is \(text(now)); restore "
          + "it on a host with the same processor and Linux"
      )
    }
    guard before.count == now.count else {
      throw .mismatch(
        "processor \(processor) with \(before.count) CPUID leaves, and on this host it has \(now.count); restore "
          + "it on a host with the same processor and Linux"
      )
    }
  }

  private static func text(_ entry: CPUIDEntry) -> String {
    let registers = [entry.eax, entry.ebx, entry.ecx, entry.edx].map { hex(UInt64($0)) }
    return "\(hex(UInt64(entry.function))).\(entry.index) is \(registers.joined(separator: " "))"
  }
}
