/// The kinds of things that a processor has to look at.
struct LocalAPICWork: OptionSet, Sendable {
  let rawValue: UInt8
  static var interrupt: Self { Self(rawValue: 1 << 0) }
  static var nonMaskable: Self { Self(rawValue: 1 << 1) }
  static var systemManagement: Self { Self(rawValue: 1 << 2) }
  static var initialize: Self { Self(rawValue: 1 << 3) }
  static var startUp: Self { Self(rawValue: 1 << 4) }
}
