import Glibc
import HostOS

/// The ratios to the peer that were kept from an earlier run, by row and column.
struct Baseline {
  /// How much worse a ratio may be before it is a regression: shared machines are not steady.
  static var tolerance: Double { 1.5 }

  private(set) var ratios: [String: Double] = [:]

  /// Reads what ``save(to:)`` wrote: a name, a tab, and a ratio on each line.
  init(from path: String) throws {
    let file = try OwnedFileDescriptor(opening: path, O_RDONLY)
    var bytes: [UInt8] = []
    while let part = try FileIO.read(file.rawValue, atMost: 4096), !part.isEmpty { bytes += part }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let fields = line.split(separator: "\t")
      if fields.count == 2, let ratio = Double(fields[1]) { ratios[String(fields[0])] = ratio }
    }
  }

  init() {}

  mutating func note(_ name: String, _ ratio: Double) {
    ratios[name] = (ratio * 100).rounded() / 100
  }

  /// Keeps the ratios for later runs.
  func save(to path: String) throws {
    let file = try OwnedFileDescriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC)
    let lines = ratios.sorted { $0.key < $1.key }.map { "\($0.key)\t\($0.value)\n" }
    try FileIO.writeAll(file.rawValue, Array(lines.joined().utf8))
  }

  /// One line for each ratio that is worse than an earlier one by more than the tolerance.
  func regressions(since earlier: Baseline) -> [String] {
    ratios.sorted { $0.key < $1.key }.compactMap { name, ratio in
      guard let before = earlier.ratios[name], ratio > before * Self.tolerance else { return nil }
      return "\(name): \(ratio) times the C loop, \(before) before"
    }
  }
}
