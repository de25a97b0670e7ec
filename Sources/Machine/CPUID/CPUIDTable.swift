import KVM

/// CPUID entries under construction, in the order in which KVM gave them.
struct CPUIDTable {
  private(set) var entries: [CPUIDEntry]

  init(_ entries: [CPUIDEntry]) { self.entries = entries }

  /// The highest basic leaf (leaf 0 EAX).
  var highestBasic: UInt32 { entries.first { $0.function == 0 }?.eax ?? 0 }

  /// Whether the processor calls itself GenuineIntel.
  var isIntel: Bool { vendor == 0x756E_6547 }
  /// Whether the processor calls itself AuthenticAMD or HygonGenuine.
  var isAMD: Bool { vendor == 0x6874_7541 || vendor == 0x6F67_7948 }

  /// The first four letters of the vendor (leaf 0 EBX).
  private var vendor: UInt32 { entries.first { $0.function == 0 }?.ebx ?? 0 }

  /// Raises the highest basic leaf to at least `function`; leaves without an entry read as 0.
  mutating func ensureBasic(_ function: UInt32) {
    update(0, adding: true) { $0.eax = max($0.eax, function) }
  }

  /// Changes the first entry of a leaf, if there is one or it may be added.
  mutating func update(
    _ function: UInt32,
    adding: Bool = false,
    _ change: (inout CPUIDEntry) -> Void
  ) {
    if let index = entries.firstIndex(where: { $0.function == function }) {
      change(&entries[index])
    } else if adding {
      var entry = CPUIDEntry(function: function)
      change(&entry)
      entries.append(entry)
    }
  }

  /// Changes every sub-leaf of a leaf.
  mutating func updateAll(_ function: UInt32, _ change: (inout CPUIDEntry) -> Void) {
    for index in entries.indices where entries[index].function == function {
      change(&entries[index])
    }
  }

  /// Removes a leaf with all its sub-leaves.
  mutating func remove(_ function: UInt32) {
    entries.removeAll { $0.function == function }
  }

  /// Adds an entry after the others.
  mutating func append(_ entry: CPUIDEntry) { entries.append(entry) }
}

extension CPUIDEntry {
  /// The registers that hold feature bits.
  enum FeatureRegister {
    case ecx
    case edx
  }

  /// Sets one bit of a register to `value`.
  mutating func set(_ register: FeatureRegister, bit: Int, _ value: Bool) {
    let mask: UInt32 = 1 << UInt32(bit)
    switch register {
    case .ecx: ecx = value ? ecx | mask : ecx & ~mask
    case .edx: edx = value ? edx | mask : edx & ~mask
    }
  }

  /// Makes all four registers 0.
  mutating func clear() {
    eax = 0
    ebx = 0
    ecx = 0
    edx = 0
  }
}
