/// A size of RAM that no machine can have.
public enum MemoryMapError: Error, Equatable, Sendable, CustomStringConvertible {
  /// No memory was asked for.
  case zero
  /// The size in bytes is not a multiple of a page.
  case unaligned(size: UInt64)
  /// Less than the least that boots anything.
  case tooSmall(size: UInt64)
  /// More than the guest's physical addresses reach, with room for devices above.
  case tooLarge(size: UInt64, largest: UInt64, physicalAddressBits: Int)

  /// One line with the value and the remedy.
  public var description: String {
    switch self {
    case .zero:
      "--memory 0: a machine needs memory; give at least \(sizeText(MemoryMap.minimumSize))"
    case .unaligned(let size):
      "--memory \(size): not a multiple of 4096 bytes; the next that is: "
        + "\(sizeText(max((size &+ 4095) & ~4095, MemoryMap.minimumSize)))"
    case .tooSmall(let size):
      "--memory \(sizeText(size)): too little; give at least \(sizeText(MemoryMap.minimumSize))"
    case .tooLarge(let size, let largest, let bits):
      "--memory \(sizeText(size)): more than a guest with \(bits)-bit physical addresses can have; "
        + "give at most \(sizeText(largest))"
    }
  }
}

/// A size as it is given on the command line: `512M`, `3G`; in bytes if it is no whole K.
func sizeText(_ size: UInt64) -> String {
  for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] where size != 0 && size % (1 << shift) == 0
  {
    return "\(size >> shift)\(unit)"
  }
  return "\(size)"
}
