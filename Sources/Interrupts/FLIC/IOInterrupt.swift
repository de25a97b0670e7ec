/// An I/O interruption: what the processor stores as I/O-interruption code (z/Architecture
/// Principles of Operation, chapter 16, "Interruption Action").
public struct IOInterrupt: Equatable, Sendable {
  /// The type of its record, at most ``FloatingInterruptType/ioMaximum``; the guest never sees it.
  public let type: UInt32
  /// The subsystem identification's first half: channel-subsystem id, subchannel-set id and a one;
  /// 0 for an adapter.
  public let subchannelID: UInt16
  /// The number of the subchannel; 0 for an adapter.
  public let subchannelNumber: UInt16
  /// What the program gave the subchannel to be known by.
  public let parameter: UInt32
  /// The I/O-interruption identification: bit 0 marks an adapter, bits 2 to 4 are the subclass.
  public let word: UInt32

  /// Describes an interruption; the type is at most ``FloatingInterruptType/ioMaximum``.
  public init(
    type: UInt32,
    subchannelID: UInt16,
    subchannelNumber: UInt16,
    parameter: UInt32,
    word: UInt32
  ) {
    precondition(UInt64(type) <= FloatingInterruptType.ioMaximum, "type \(type)")
    self.type = type
    self.subchannelID = subchannelID
    self.subchannelNumber = subchannelNumber
    self.parameter = parameter
    self.word = word
  }

  /// An interruption by an adapter of subclass `isc`.
  public init(adapterOf isc: UInt8) {
    self.init(
      type: UInt32(FloatingInterruptType.adapter),
      subchannelID: 0,
      subchannelNumber: 0,
      parameter: 0,
      word: 0x8000_0000 | UInt32(isc) << 27
    )
  }

  /// An interruption by a subchannel.
  ///
  /// - Parameters:
  ///   - number: The subchannel's number.
  ///   - set: Its set, 0 to 3.
  ///   - css: Its channel subsystem.
  ///   - isc: The subclass, 0 to 7.
  ///   - parameter: What the program gave the subchannel.
  public init(
    subchannel number: UInt16,
    set: UInt8 = 0,
    css: UInt8 = 0,
    isc: UInt8,
    parameter: UInt32 = 0
  ) {
    let set = set & 3
    self.init(
      type: UInt32(number) | UInt32(set) << 16 | UInt32(css) << 18,
      subchannelID: UInt16(css) << 8 | UInt16(set) << 1 | 1,
      subchannelNumber: number,
      parameter: parameter,
      word: UInt32(isc & 7) << 27
    )
  }

  /// The interruption subclass, 0 to 7; 0 comes first.
  public var isc: Int { Int(word >> 27 & 7) }
  /// The subsystem-identification word.
  public var subsystemID: UInt32 { UInt32(subchannelID) << 16 | UInt32(subchannelNumber) }
}
