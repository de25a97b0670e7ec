import GuestMemory
import HostOS

/// Moves bytes between a port's queues and its descriptors, on the queues' thread.
final class ConsolePortService {
  private static var bufferCount: Int { 4096 }

  let port: ConsolePort
  /// What the driver has said, and is to be told.
  var state: ConsolePortState

  private let log: LimitedLog
  private let title: String
  private let sent: ConsoleShared.Sent
  private var receiving: DescriptorChain
  private var transmitting: DescriptorChain
  private var input = [UInt8](repeating: 0, count: bufferCount)

  // Output that was read from the guest and not yet taken by the host.
  private var output = [UInt8](repeating: 0, count: bufferCount)
  private var outputRange = 0..<0
  private var isTransmitting = false
  // How much of the chain under way the host has taken.
  private var transmitted: UInt64 = 0
  private var isOutputClosed: Bool

  /// Serves `port`, whose queues are the one with this number, to the guest, and the one after it.
  init(
    _ port: ConsolePort,
    queue: Int,
    _ state: ConsolePortState,
    _ sent: ConsoleShared.Sent,
    _ activation: VirtioActivation
  ) {
    self.sent = sent
    let queues = activation.queues.dropFirst(queue).prefix(2)
    port.link?.begin(
      input: queues.first??.isTakenOver == true,
      output: queues.dropFirst().first??.isTakenOver == true
    )
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
    for _ in 0..<port.batch {
      let place = queue.state.used
      guard try queue.pop(into: &receiving) else { return .drained }
      guard receiving.writableCount > 0 else {
        queue.complete(receiving, written: 0)
        continue
      }
      let room = Int(min(receiving.writableCount, UInt64(Self.bufferCount)))
      switch port.read(into: &input, count: room, at: place) {
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
    for _ in 0..<port.batch {
      if !isTransmitting {
        let place = queue.state.used
        guard try queue.pop(into: &transmitting) else { return .drained }
        beginTransmitting(at: place)
      }
      if outputRange.isEmpty { fillOutput() }
      if outputRange.isEmpty {
        isTransmitting = false
        queue.complete(transmitting, written: 0)
        continue
      }
      switch port.write(output, in: outputRange) {
      case .moved(let count):
        transmitted &+= UInt64(count)
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

  /// Puts back what is under way on the queue from the guest: whoever comes next goes on after what has gone out of it.
  func finishTransmitting(_ queue: inout Virtqueue) {
    guard isTransmitting else { return }
    isTransmitting = false
    queue.putBack()
    port.link?.rewindOutput()
    sent.store(transmitted)
    outputRange = 0..<0
  }

  private func beginTransmitting(at place: UInt16) {
    isTransmitting = true
    transmitted = min(sent.take(), transmitting.readableCount)
    port.link?.beginOutput(count: transmitting.readableCount, after: transmitted, at: place)
    transmitting.skipReadable(transmitted)
  }

  /// Copies the next bytes of the chain; with a closed output there are none.
  private func fillOutput() {
    guard !isOutputClosed else { return }
    outputRange = 0..<transmitting.read(into: &output)
  }
}
