import Synchronization

/// A registered device, with the ranges that it claims: what a bus holds it by.
struct BusClaim: Sendable {
  let name: String
  let device: any BusDevice
  let sizes: [UInt64]
  /// Where the ranges are now; all within the space and without overlap.
  var bases: [UInt64?]

  private static let lastID = Atomic<UInt64>(0)

  /// A number that no registration had before.
  static func nextID() -> UInt64 {
    lastID.wrappingAdd(1, ordering: .relaxed).newValue
  }

  /// The mapped ranges.
  var mappings: [BusMapping] {
    zip(bases, sizes).enumerated().compactMap { region, range in
      range.0.map {
        BusMapping(name: name, region: region, addresses: $0...($0 &+ (range.1 &- 1)))
      }
    }
  }

  /// The first addresses of the mapped ranges, sorted.
  var keys: [UInt64] { bases.compactMap(\.self).sorted() }
}
