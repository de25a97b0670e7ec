/// A change to interrupts of one kind (`vfio_irq_set`).
struct VfioUserInterruptSet: Equatable, Sendable {
  /// The length in bytes, without data.
  static var count: Int { 20 }

  /// For which interrupts it holds.
  enum Data: Equatable, Sendable {
    /// For all of the range.
    case none
    /// For those of the range whose byte is not zero.
    case flags([UInt8])
    /// For all of the range, each with the descriptor that came for it, or none of them with any.
    case events
  }

  /// What happens.
  enum Action: UInt32, Sendable {
    case mask = 0x08
    case unmask = 0x10
    case trigger = 0x20
  }

  private static var noneFlag: UInt32 { 1 << 0 }
  private static var boolFlag: UInt32 { 1 << 1 }
  private static var eventFlag: UInt32 { 1 << 2 }
  private static var dataMask: UInt32 { 0x07 }
  private static var actionMask: UInt32 { 0x38 }

  var index: UInt32
  var start: UInt32
  var interruptCount: UInt32
  var data: Data
  var action: Action

  /// What the flags of this change are.
  var flags: UInt32 {
    let type =
      switch data {
      case .none: Self.noneFlag
      case .flags: Self.boolFlag
      case .events: Self.eventFlag
      }
    return type | action.rawValue
  }

  /// The description as it is sent; descriptors go beside it.
  func append(to bytes: inout NativeBytes) {
    var payload: [UInt8] = []
    if case .flags(let flags) = data { payload = flags }
    bytes.append(UInt32(Self.count + payload.count))
    bytes.append(flags)
    bytes.append(index)
    bytes.append(start)
    bytes.append(interruptCount)
    bytes.append(payload)
  }
}

extension VfioUserInterruptSet {
  /// Reads a description that at least has its fixed part.
  init(
    _ bytes: NativeBytes,
    descriptors: Int,
    _ command: VfioUserCommand
  ) throws(VfioUserError) {
    let argumentSize: UInt32 = bytes.word(at: 0)
    let flags: UInt32 = bytes.word(at: 4)
    index = bytes.word(at: 8)
    start = bytes.word(at: 12)
    interruptCount = bytes.word(at: 16)
    let size = bytes.array.count
    guard Int(argumentSize) >= Self.count else {
      throw .badValue(command, "argsz \(argumentSize), less than \(Self.count)")
    }
    guard flags & ~(Self.dataMask | Self.actionMask) == 0,
      let action = Action(rawValue: flags & Self.actionMask)
    else { throw .badValue(command, "flags 0x\(String(flags, radix: 16))") }
    self.action = action
    var expected = Self.count
    var descriptorCounts = 0...0
    switch flags & Self.dataMask {
    case Self.noneFlag: data = .none
    case Self.boolFlag:
      expected += Int(interruptCount)
      data = .flags(Array(bytes.array[Self.count...]))
    case Self.eventFlag:
      data = .events
      if descriptors > 0 { descriptorCounts = Int(interruptCount)...Int(interruptCount) }
    default: throw .badValue(command, "flags 0x\(String(flags, radix: 16))")
    }
    guard size == expected else { throw .wrongSize(command, size, expected: expected) }
    guard descriptorCounts.contains(descriptors) else {
      throw .wrongDescriptorCount(command, descriptors, expected: descriptorCounts)
    }
    guard start <= UInt32.max - interruptCount else {
      throw .badValue(command, "\(interruptCount) interrupts from \(start) on")
    }
  }
}
