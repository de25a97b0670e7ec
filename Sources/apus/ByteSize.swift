import ArgumentParser

/// A number of bytes on the command line: digits and, maybe, K, M, G or T for powers of 1024.
struct ByteSize: ExpressibleByArgument, Equatable {
  let bytes: UInt64

  init(bytes: UInt64) { self.bytes = bytes }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    guard let count = UInt64(digits) else { return nil }
    let shift: UInt64
    switch argument.dropFirst(digits.count).uppercased() {
    case "": shift = 0
    case "K", "KIB": shift = 10
    case "M", "MIB": shift = 20
    case "G", "GIB": shift = 30
    case "T", "TIB": shift = 40
    default: return nil
    }
    guard count <= UInt64.max >> shift else { return nil }
    bytes = count << shift
  }

  var defaultValueDescription: String { description }

  /// The largest unit that divides it: `512M`.
  var description: String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] as [(UInt64, String)]
    where bytes > 0 && bytes & (1 << shift - 1) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)"
  }
}
