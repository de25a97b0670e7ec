import Glibc
import HostOS

/// What the host's own processor can, as far as a description of a machine needs it.
enum HostProcessor {
  /// Bits of a physical address, by /proc/cpuinfo; 39 if it does not say, as small processors have.
  static var physicalAddressBits: Int {
    guard let file = try? OwnedFileDescriptor(opening: "/proc/cpuinfo", O_RDONLY),
      let bytes = try? FileIO.read(file.rawValue, atMost: 1 << 14)
    else { return 39 }
    return physicalAddressBits(cpuinfo: String(decoding: bytes, as: UTF8.self)) ?? 39
  }

  /// Reads the line `address sizes : 46 bits physical, 48 bits virtual`.
  static func physicalAddressBits(cpuinfo: String) -> Int? {
    for line in cpuinfo.split(separator: "\n") where line.hasPrefix("address sizes") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
      return words.first { $0.allSatisfy(\.isNumber) }.flatMap { Int($0) }
    }
    return nil
  }
}
