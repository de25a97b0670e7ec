import GuestMemory
import HostOS

/// Moves bytes between a port's queues and its descriptors, on the queues' thread.
final class ConsolePortService {
  private static var batch: Int { 16 }
  private static var bufferCount: Int { 4096 }

  let port: ConsolePort
  /// What the driver has said, and is to be told.
  var state: ConsolePortState

  private let log: LimitedLog
  private let title: String
  private var receiving: DescriptorChain
  private var transmitting: DescriptorChain
  private var input = [UInt8](repeating: 0, count: bufferCount)

  // Output that was read from the guest and not yet taken by the host.
  private var output = [UInt8](repeating: 0, count: bufferCount)
  private var outputRange = 0..<0
  private var isTransmitting = false
  private var hasTransmitted = false
  private var isOutputClosed: Bool

  init(_ port: ConsolePort, _ state: ConsolePortState, _ activation: VirtioActivation) {
    self.port = port
    self.state = state
    log = activation.signals.log
    title = port.name.map { "port \($0): " } ?? ""
    isOutputClosed = !port.hasOutput
    receiving = DescriptorChain(in: activation.memory)
    transmitting = DescriptorChain(in: activation.memory)
  }

  /// Whether there is a message that the guest may get now.
  ///
  /// That nobody is at the host's end any more is news only after all that was said there.
  var isTellable: Bool {
    state.due.contains(.close) && state.due.isDisjoint(with: [.add, .console, .resize, .name])
      ? !state.isGuestOpen || !port.hasInput : !state.due.isEmpty
  }

  /// Gives input to the driver, where it has buffers for it.
  func receive(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      guard try queue.pop(into: &receiving) else { return .drained }
      guard receiving.writableCount > 0 else {
        queue.complete(receiving, written: 0)
        continue
      }
      let room = Int(min(receiving.writableCount, UInt64(Self.bufferCount)))
      switch port.read(into: &input, count: room) {
      case .moved(let count):
        let written = receiving.write(input, count: count)
        queue.complete(receiving, written: UInt32(written))
      case .mustWait(let descriptor):
        queue.putBack()
        return .blocked(on: descriptor, for: .readable)
      case .closed:
        queue.putBack()
        return .ended
      }
    }
    return .busy
  }

  /// Takes output from the driver, as fast as the host takes it.
  func transmit(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      if !isTransmitting {
        guard try queue.pop(into: &transmitting) else { return .drained }
        isTransmitting = true
        hasTransmitted = false
      }
      if outputRange.isEmpty { fillOutput() }
      if outputRange.isEmpty {
        isTransmitting = false
        queue.complete(transmitting, written: 0)
        continue
      }
      switch port.write(output, in: outputRange) {
      case .moved(let count):
        hasTransmitted = true
        outputRange = (outputRange.lowerBound + count)..<outputRange.upperBound
      case .mustWait(let descriptor):
        return .blocked(on: descriptor, for: .writable)
      case .closed:
        log.warning("\(title)the output is closed: what the guest prints is thrown away")
        isOutputClosed = true
        outputRange = 0..<0
      }
    }
    return .busy
  }

  /// Ends what is under way on the queue from the guest.
  func finishTransmitting(_ queue: inout Virtqueue) {
    guard isTransmitting else { return }
    isTransmitting = false
    // Nothing of it has gone out: whoever comes next begins it. Otherwise it counts as printed, so
    // that nothing is printed twice.
    if hasTransmitted { queue.complete(transmitting, written: 0) } else { queue.putBack() }
    outputRange = 0..<0
  }

  /// Copies the next bytes of the chain; with a closed output there are none.
  private func fillOutput() {
    guard !isOutputClosed else { return }
    outputRange = 0..<transmitting.read(into: &output)
  }
}
