package import DeviceModel

/// The state of a function whose registers and vectors are kept here, and of the device behind them; a value.
public struct PCIFunctionState: Equatable, Sendable {
  /// What the guest has written to the configuration registers.
  public var configuration: PCIConfigurationState
  /// The MSI-X table; `nil` for a function without.
  public var msix: MSIXState?
  /// What the device keeps, in a form of its own.
  public var device: [UInt8]

  /// The form that is written, and the only one that is read.
  private static var version: UInt16 { 1 }
  private static var magic: UInt32 { 0x4650_5041 }

  /// Takes the state of what belongs to `function`.
  public init(_ function: some PCIFunction, device: [UInt8]) {
    configuration = function.configuration.savedState
    msix = function.msix?.savedState
    self.device = device
  }

  /// The state in bytes: a magic number, a version, then the fields in order, little-endian.
  public var bytes: [UInt8] {
    var writer = FieldWriter()
    writer.append(Self.magic)
    writer.append(Self.version)
    writer.append(configuration)
    writer.append(msix)
    writer.appendCounted(device)
    return writer.bytes
  }

  /// Reads a state from bytes, which may be anybody's.
  ///
  /// - Throws: ``PCIStateError`` if they are none, or more than one.
  public init(bytes: [UInt8]) throws(PCIStateError) {
    var reader = FieldReader(bytes)
    guard let magic: UInt32 = reader.take(), let version: UInt16 = reader.take(),
      magic == Self.magic, version == Self.version
    else { throw PCIStateError("no state of a PCI function in version \(Self.version)") }
    guard let configuration = reader.takeConfiguration() else {
      throw PCIStateError("registers that are cut short or out of range")
    }
    guard let msix = reader.takeMSIX() else {
      throw PCIStateError("vectors that are cut short or out of range")
    }
    guard let device = reader.takeCounted() else {
      throw PCIStateError("a device's own state that is cut short")
    }
    guard reader.count == 0 else {
      throw PCIStateError("\(reader.count) bytes after the state's end")
    }
    self.configuration = configuration
    self.msix = msix.entries.isEmpty ? nil : msix
    self.device = device
  }

  /// Finds whether `function` can be as it says.
  public func check(_ function: some PCIFunction) throws(PCIStateError) {
    guard function.configuration.matches(configuration) else {
      throw PCIStateError("state of other configuration registers than this function has")
    }
    let vectors = (saved: msix?.entries.count ?? 0, own: function.msix?.vectorCount ?? 0)
    guard vectors.saved == vectors.own else {
      throw PCIStateError("state of \(vectors.saved) vectors, and this function has \(vectors.own)")
    }
  }

  /// Puts registers and vectors into a function that was checked; the pin is driven as they say.
  public func restoreRegisters(of function: some PCIFunction) {
    function.configuration.restore(configuration)
    if let vectors = function.msix, let msix { vectors.restore(msix) }
    function.followConfiguration()
  }
}

extension FieldWriter {
  /// Adds registers: what device they are of, how many words, and the words.
  package mutating func append(_ state: PCIConfigurationState) {
    append(state.identity)
    append(UInt16(state.words.count))
    for word in state.words {
      append(word.index)
      append(word.mask)
      append(word.value)
    }
  }

  /// Adds vectors: how many, and each; none for a function without.
  package mutating func append(_ state: MSIXState?) {
    append(UInt16(state?.entries.count ?? 0))
    for entry in state?.entries ?? [] {
      append(entry.address)
      append(entry.data)
      append((entry.isMasked ? 1 : 0) | (entry.isPending ? 2 : 0) as UInt8)
    }
  }
}

extension FieldReader {
  /// The next registers; `nil` if the state ends before, or has a register that there is not.
  package mutating func takeConfiguration() -> PCIConfigurationState? {
    guard let identity: UInt32 = take(), let count: UInt16 = take() else { return nil }
    var state = PCIConfigurationState(identity: identity, words: [])
    // Each is read before there is room for the next: a count that is a lie costs nothing.
    for _ in 0..<count {
      guard let index: UInt16 = take(), let mask: UInt32 = take(), let value: UInt32 = take(),
        Int(index) < PCIConfigurationSpace.size / 4
      else { return nil }
      state.words.append(PCIConfigurationState.Word(index: index, mask: mask, value: value))
    }
    return state
  }

  /// The next vectors, of which there may be none; `nil` if the state ends before.
  package mutating func takeMSIX() -> MSIXState? {
    guard let count: UInt16 = take() else { return nil }
    var state = MSIXState(entries: [])
    for _ in 0..<count {
      guard let address: UInt64 = take(), let data: UInt32 = take(), let flags: UInt8 = take(),
        flags < 4
      else { return nil }
      state.entries.append(
        MSIXState.Entry(
          address: address,
          data: data,
          isMasked: flags & 1 != 0,
          isPending: flags & 2 != 0
        )
      )
    }
    return state
  }
}
