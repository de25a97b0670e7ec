import PCI
import Virtio

/// The state of a PCI function: all of it for one that can be saved, of others their configuration registers.
struct FunctionState: Equatable, Sendable {
  /// What a section begins with.
  private enum Kind {
    static var registers: UInt8 { 0 }
    static var virtio: UInt8 { 1 }
    static var bytes: UInt8 { 2 }
  }

  /// The longest state that a function of any other kind has, in bytes.
  private static var byteLimit: Int { 65 << 20 }
  /// How much of that one section has.
  static var pieceSize: Int { 1 << 20 }

  /// Its device number.
  var slot: UInt8
  var configuration = PCIConfigurationState(identity: 0, words: [])
  /// `nil` for what is no virtio device.
  var virtio: VirtioFunctionState?
  /// What a function of a form of its own has said; `nil` for one that only has registers.
  var bytes: [UInt8]? {
    didSet { byteCount = bytes?.count ?? 0 }
  }
  /// How long those are, once the first section was read; the sections after it have them.
  private(set) var byteCount = 0

  init(slot: UInt8) { self.slot = slot }

  /// Takes the state of a function; one that can be paused is, or its process held.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` if it cannot be had.
  init(
    _ address: PCIAddress,
    _ function: any PCIFunction,
    _ isolated: IsolatedDevices?
  ) throws(SnapshotError) {
    slot = address.device
    if let transport = function as? PCITransport {
      virtio = transport.savedState
    } else if let process = isolated?.process(of: function) {
      virtio = try process.savedState(of: function)
    } else if let function = function as? any SavedPCIFunction {
      do throws(PCIStateError) {
        let state = try function.saveState()
        (bytes, byteCount) = (state, state.count)
      } catch {
        throw .mismatch("\(function.name) (PCI device \(slot)) cannot be saved: \(error)")
      }
    } else {
      configuration = function.configuration.savedState
    }
  }

  /// Puts it into a function, which is paused then if it can be, or its process held.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)``.
  func restore(
    to function: any PCIFunction,
    _ isolated: IsolatedDevices?
  ) throws(SnapshotError) {
    if let virtio, let process = isolated?.process(of: function) {
      return try process.restore(virtio, to: function)
    }
    if let bytes {
      guard let function = function as? any SavedPCIFunction, virtio == nil else {
        throw another(function)
      }
      function.pause()
      do throws(PCIStateError) {
        try function.restoreState(bytes)
      } catch {
        throw .mismatch(
          "\(function.name) (PCI device \(slot)): \(error); give it the device that it was saved with"
        )
      }
      return
    }
    switch (function as? PCITransport, virtio) {
    case (let transport?, let virtio?):
      do throws(VirtioStateError) {
        try transport.restore(virtio)
      } catch {
        throw .mismatch(
          "\(function.name) (PCI device \(slot)): \(error); give it the device that it was saved with"
        )
      }
    case (nil, nil) where function.configuration.matches(configuration):
      function.configuration.restore(configuration)
    default: throw another(function)
    }
  }

  private func another(_ function: any PCIFunction) -> SnapshotError {
    .mismatch(
      "\(function.name) (PCI device \(slot)) of another kind; give it the device that it was saved with"
    )
  }

  /// The fields of a function's section, in their order.
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var kind = virtio != nil ? Kind.virtio : bytes != nil ? Kind.bytes : Kind.registers
    try coder.number(&kind)
    switch kind {
    case Kind.registers: break
    case Kind.virtio: return try codeVirtio(&coder)
    case Kind.bytes:
      var count = byteCount
      try coder.count(&count, "length of a function's state", limit: Self.byteLimit)
      if coder.isReading { bytes = [] }
      byteCount = count
      return
    default: throw .invalid(field: "kind of a function", value: UInt64(kind))
    }
    try coder.number(&configuration.identity)
    var count = configuration.words.count
    try coder.count(&count, "register count", limit: PCIConfigurationSpace.size / 4)
    if coder.isReading {
      let word = PCIConfigurationState.Word(index: 0, mask: 0, value: 0)
      configuration.words = Array(repeating: word, count: count)
    }
    for index in configuration.words.indices {
      try coder.number(&configuration.words[index].index)
      try coder.number(&configuration.words[index].mask)
      try coder.number(&configuration.words[index].value)
    }
  }

  private mutating func codeVirtio(_ coder: inout StateCoder) throws(InterruptStateError) {
    var bytes = virtio?.bytes ?? []
    try coder.bytes(&bytes, "virtio state", limit: SnapshotSection.sizeLimit / 2)
    guard coder.isReading else { return }
    do throws(VirtioStateError) {
      virtio = try VirtioFunctionState(bytes: bytes)
    } catch {
      throw .device("\(error)")
    }
  }
}
