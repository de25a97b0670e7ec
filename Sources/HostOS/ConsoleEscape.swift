/// Finds the escape sequences in what a user types, and passes everything else on.
///
/// Ctrl-A is the prefix: `x` ends the guest, `h` shows help, Ctrl-A or `a` sends one Ctrl-A. Any
/// other key after Ctrl-A is passed on with the Ctrl-A before it.
public struct ConsoleEscape: Sendable {
  /// What the user asked for.
  public enum Request: Equatable, Sendable {
    /// End the guest.
    case quit
    /// Show ``help``.
    case help
  }

  /// What Ctrl-A h shows.
  public static var help: String {
    "\napus: Ctrl-A x ends the guest, Ctrl-A a sends Ctrl-A to it, Ctrl-A h shows this.\n"
  }

  private static var prefix: UInt8 { 0x01 }
  private var sawPrefix = false

  /// Starts with no prefix seen.
  public init() {}

  /// Splits typed bytes into those for the guest and requests.
  ///
  /// - Returns: What to pass on, and the requests in the order that they were typed.
  public mutating func feed(_ typed: some Sequence<UInt8>) -> (
    passed: [UInt8], requests: [Request]
  ) {
    var passed: [UInt8] = []
    var requests: [Request] = []
    for byte in typed {
      guard sawPrefix else {
        if byte == Self.prefix { sawPrefix = true } else { passed.append(byte) }
        continue
      }
      sawPrefix = false
      switch byte {
      case UInt8(ascii: "x"), UInt8(ascii: "X"): requests.append(.quit)
      case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "?"): requests.append(.help)
      case UInt8(ascii: "a"), Self.prefix: passed.append(Self.prefix)
      default: passed += [Self.prefix, byte]
      }
    }
    return (passed, requests)
  }
}
