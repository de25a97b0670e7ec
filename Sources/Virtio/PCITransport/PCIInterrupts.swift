import HostOS
import PCI
import Synchronization

/// How a device behind PCI interrupts its driver: MSI-X vectors, or the ISR status and the INTx pin.
///
/// Any thread may signal. The chosen vectors are read without a lock; the lock of the ISR status is
/// held over the pin's call, since a rise and a fall that overtook one another would leave the pin
/// at the wrong level. Lock order: the ISR status before the pin.
final class PCIInterrupts: VirtioInterrupts {
  /// `VIRTIO_MSI_NO_VECTOR`: the event interrupts nobody (virtio 1.2, 4.1.5.1.2).
  static var noVector: UInt16 { 0xFFFF }

  private enum Bit {
    static var queue: UInt8 { 1 }
    static var configuration: UInt8 { 2 }
  }

  /// The vector that one event was mapped to.
  private final class Choice: Sendable {
    let vector = Atomic(PCIInterrupts.noVector)
  }

  private let pin: PCIInterruptPin
  private let msix: MSIX?
  private let configurationChoice = Choice()
  private let queueChoices: [Choice]
  private let status = Mutex<UInt8>(0)
  private let observer = SharedAction()

  init(queueCount: Int, pin: PCIInterruptPin, msix: MSIX?) {
    self.pin = pin
    self.msix = msix
    queueChoices = (0..<queueCount).map { _ in Choice() }
  }

  func signalQueue(_ index: Int) {
    guard let msix, msix.isEnabled else {
      raise(Bit.queue)
      return
    }
    signal(queueChoices[index], through: msix)
  }

  func trigger(ofQueue index: Int) -> EventFD? {
    guard let msix, msix.isEnabled else { return nil }
    return msix.trigger(Int(vector(ofQueue: index)))
  }

  func observeTriggers(_ observer: (@Sendable () -> Void)?) {
    self.observer.set(observer)
    msix?.observeSwitch(observer)
  }

  func signalConfigurationChange() {
    // 4.1.4.5.1: this bit is set with MSI-X too, which keeps the pin itself silent.
    raise(Bit.configuration)
    guard let msix, msix.isEnabled else { return }
    signal(configurationChoice, through: msix)
  }

  func reset() {
    configurationVector = Self.noVector
    for index in queueChoices.indices { setVector(Self.noVector, ofQueue: index) }
    _ = takeStatus()
  }

  /// Reads the ISR status, which clears it and withdraws the INTx request (4.1.4.5.1).
  func takeStatus() -> UInt8 {
    status.withLock { status in
      defer { status = 0 }
      pin.deassert()
      return status
    }
  }

  /// The ISR status, without the effects of a driver's read.
  var currentStatus: UInt8 { status.withLock { $0 } }

  /// Sets the ISR status, and the INTx request with it.
  func restore(status new: UInt8) {
    status.withLock { status in
      status = new
      if new == 0 { pin.deassert() } else { pin.assert() }
    }
  }

  /// The vector for changes of the configuration.
  var configurationVector: UInt16 {
    get { configurationChoice.vector.load(ordering: .relaxed) }
    set { configurationChoice.vector.store(mapped(newValue), ordering: .relaxed) }
  }

  /// The vector of queue `index`; no vector where there is no such queue.
  func vector(ofQueue index: Int) -> UInt16 {
    guard queueChoices.indices.contains(index) else { return Self.noVector }
    return queueChoices[index].vector.load(ordering: .relaxed)
  }

  /// Maps queue `index`, if there is one.
  func setVector(_ vector: UInt16, ofQueue index: Int) {
    guard queueChoices.indices.contains(index) else { return }
    queueChoices[index].vector.store(mapped(vector), ordering: .relaxed)
    observer()
  }

  /// What a driver that writes `vector` reads back: 4.1.5.1.2 has a failed mapping read as none.
  private func mapped(_ vector: UInt16) -> UInt16 {
    Int(vector) < msix?.vectorCount ?? 0 ? vector : Self.noVector
  }

  private func signal(_ choice: Choice, through msix: MSIX) {
    let vector = choice.vector.load(ordering: .relaxed)
    // There is no vector `noVector`: 4.1.5.1.2 has no interrupt for an unmapped event.
    msix.signal(Int(vector))
  }

  private func raise(_ bit: UInt8) {
    status.withLock { status in
      status |= bit
      pin.assert()
    }
  }
}
