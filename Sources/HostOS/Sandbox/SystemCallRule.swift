/// What a filter does with one kind of system call.
public struct SystemCallRule: Hashable, Sendable {
  /// Holds for a call of which an argument has these bits.
  public struct Test: Hashable, Sendable {
    /// Which argument, from 0 on.
    public let argument: UInt32
    /// Which bits are compared.
    public let mask: UInt64
    /// What they are compared with.
    public let value: UInt64

    /// The argument is `value`; of arguments that the kernel reads as 32 bits, the others may be anything.
    public static func equals(_ argument: UInt32, _ value: UInt64) -> Self {
      Self(argument: argument, mask: 0xFFFF_FFFF, value: value)
    }

    /// The pointer is null.
    public static func isNull(_ argument: UInt32) -> Self {
      Self(argument: argument, mask: .max, value: 0)
    }

    /// Of the argument's bits in `mask`, those of `value` are set, and no others.
    public static func masked(_ argument: UInt32, _ mask: UInt64, _ value: UInt64) -> Self {
      Self(argument: argument, mask: mask, value: value)
    }

    /// The argument has all bits of `bits`.
    public static func has(_ argument: UInt32, _ bits: UInt64) -> Self {
      Self(argument: argument, mask: bits, value: bits)
    }

    /// The argument has none of the bits of `bits`.
    public static func lacks(_ argument: UInt32, _ bits: UInt64) -> Self {
      Self(argument: argument, mask: bits, value: 0)
    }
  }

  /// The call's name.
  public let name: String
  /// What must hold of its arguments, all of it.
  public let tests: [Test]
  /// The errno that it fails with; `nil` lets it through.
  public let failure: Int32?

  /// Lets a call through for which all of `tests` hold.
  public static func allow(_ name: String, _ tests: Test...) -> Self {
    Self(name: name, tests: tests, failure: nil)
  }

  /// Lets these calls through, whatever their arguments.
  public static func allow(all names: String...) -> [Self] {
    names.map { Self(name: $0, tests: [], failure: nil) }
  }

  /// Has a call fail for which all of `tests` hold, for callers that know what to do then.
  public static func fail(_ name: String, _ code: Int32, _ tests: Test...) -> Self {
    Self(name: name, tests: tests, failure: code)
  }
}
