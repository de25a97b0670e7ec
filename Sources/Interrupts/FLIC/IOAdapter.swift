/// A source of adapter interrupts, as `ADAPTER_REGISTER` describes it.
public struct IOAdapter: Equatable, Sendable {
  /// How many adapters there may be; their ids count from 0.
  public static var maximumCount: Int { 64 }
  /// How many addresses an adapter may map.
  public static var maximumMappings: Int { 256 }
  /// The flag of an adapter that is subject to suppression (`KVM_S390_ADAPTER_SUPPRESSIBLE`).
  public static var suppressibleFlag: UInt8 { 0x01 }

  /// What `ADAPTER_MODIFY` can do (`KVM_S390_IO_ADAPTER_*`).
  public enum Operation: UInt8, CaseIterable, Sendable {
    /// Masks or unmasks the adapter.
    case mask = 1
    /// Adds an address to its mappings.
    case map = 2
    /// Removes one.
    case unmap = 3
  }

  /// The number by which it is known.
  public let id: UInt32
  /// Its interruption subclass.
  public let isc: UInt8
  /// Whether it can be masked.
  public let isMaskable: Bool
  /// Whether its indicators are byte-swapped.
  public let isSwapped: Bool
  /// Whether it is subject to suppression.
  public let isSuppressible: Bool
  /// Whether it is masked.
  public internal(set) var isMasked = false
  /// The guest addresses it maps, in the order of their mapping; one may be there several times.
  public internal(set) var mappings: [UInt64] = []

  /// Describes an adapter that is not masked and maps nothing.
  public init(
    id: UInt32,
    isc: UInt8,
    isMaskable: Bool = false,
    isSwapped: Bool = false,
    isSuppressible: Bool = false
  ) {
    self.id = id
    self.isc = isc
    self.isMaskable = isMaskable
    self.isSwapped = isSwapped
    self.isSuppressible = isSuppressible
  }

  /// Reads a `struct kvm_s390_io_adapter`; flags that are unknown are ignored.
  init(_ bytes: Span<UInt8>, _ order: FLICByteOrder) throws(FLICError) {
    guard bytes.count >= FLICLayout.Adapter.size else { throw .badBuffer }
    self.init(
      id: bytes.load(UInt32.self, at: FLICLayout.Adapter.id, order),
      isc: bytes[FLICLayout.Adapter.isc],
      isMaskable: bytes[FLICLayout.Adapter.maskable] != 0,
      isSwapped: bytes[FLICLayout.Adapter.swap] != 0,
      isSuppressible: bytes[FLICLayout.Adapter.flags] & Self.suppressibleFlag != 0
    )
  }
}
