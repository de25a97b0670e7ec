import PCI
import Virtio

/// The state of a PCI function: of a virtio device all of it, of any other its configuration registers.
struct FunctionState: Equatable, Sendable {
  /// Its device number.
  var slot: UInt8
  var configuration = PCIConfigurationState(identity: 0, words: [])
  /// `nil` for what is no virtio device.
  var virtio: VirtioFunctionState?

  init(slot: UInt8) { self.slot = slot }

  /// Takes the state of a function; a virtio device is paused.
  init(_ address: PCIAddress, _ function: any PCIFunction) {
    slot = address.device
    if let transport = function as? PCITransport {
      virtio = transport.savedState
    } else {
      configuration = function.configuration.savedState
    }
  }

  /// Puts it into a function, which is paused then if it is a virtio device.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)``.
  func restore(to function: any PCIFunction) throws(SnapshotError) {
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
    default:
      throw .mismatch(
        "\(function.name) (PCI device \(slot)) of another kind; give it the device that it was saved with"
      )
    }
  }

  /// The fields of a function's section, in their order.
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var isVirtio = virtio != nil
    try coder.flag(&isVirtio, "virtio function")
    guard !isVirtio else { return try codeVirtio(&coder) }
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
