import Glibc
import HostOS
import PCI

/// The pin and the vectors.
extension VfioUserSession {
  func describeInterrupts(_ info: VfioUserInterruptInfo) throws(VfioUserFailure) -> Answer {
    guard info.argumentSize >= VfioUserInterruptInfo.count, info.index < VfioUserInterrupt.count
    else {
      throw .refusal(
        EINVAL,
        "DEVICE_GET_IRQ_INFO: kind \(info.index) of \(VfioUserInterrupt.count), argsz \(info.argumentSize)"
      )
    }
    let isPin = info.index == VfioUserInterrupt.pin
    return Answer(
      reply: .interruptInfo(
        VfioUserInterruptInfo(
          flags: isPin
            ? VfioUserInterruptInfo.eventFlag | VfioUserInterruptInfo.maskableFlag
              | VfioUserInterruptInfo.automaskedFlag
            : VfioUserInterruptInfo.eventFlag,
          index: info.index,
          interruptCount: UInt32(count(of: info.index))
        )
      )
    )
  }

  /// Takes all eventfds that came with a request.
  func takeEvents(
    _ descriptors: inout DescriptorBatch,
    as use: ReceivedEventFD.Use
  ) throws(VfioUserFailure) -> [EventFD] {
    var events: [EventFD] = []
    while let descriptor = descriptors.takeFirst() {
      let kind: DescriptorKind
      let event: EventFD?
      do throws(SystemError) {
        kind = try DescriptorKind(of: descriptor.rawValue)
        event = try ReceivedEventFD.adopt(descriptor, as: use)
      } catch {
        throw .host(.setIRQs, error)
      }
      guard let event else {
        throw .breach(.wrongDescriptor(.setIRQs, kind, expected: "an eventfd"))
      }
      events.append(event)
    }
    return events
  }

  /// Changes interrupts of one kind.
  ///
  /// - Parameters:
  ///   - set: Which ones, and what happens to them.
  ///   - events: The eventfds that came, one for each interrupt.
  /// - Returns: The reply.
  /// - Throws: ``VfioUserFailure``.
  func setInterrupts(
    _ set: VfioUserInterruptSet,
    _ events: [EventFD]?
  ) throws(VfioUserFailure) -> Answer {
    let count = count(of: set.index)
    guard set.index < VfioUserInterrupt.count,
      UInt64(set.start) + UInt64(set.interruptCount) <= UInt64(count)
    else {
      throw .refusal(
        EINVAL,
        "DEVICE_SET_IRQS: \(set.interruptCount) from \(set.start) on of \(count) of kind \(set.index)"
      )
    }
    switch set.index {
    case VfioUserInterrupt.pin: try setPin(set, events?.first)
    case VfioUserInterrupt.msi, VfioUserInterrupt.msix: try setVectors(set, events)
    default: break
    }
    return Answer(reply: .done)
  }

  private func setPin(
    _ set: VfioUserInterruptSet,
    _ event: EventFD?
  ) throws(VfioUserFailure) {
    let isMeant =
      switch set.data {
      case .none, .events: set.interruptCount > 0
      case .flags(let flags): flags.first.map { $0 != 0 } ?? false
      }
    switch (set.action, set.data) {
    case (.trigger, .none) where set.interruptCount == 0:
      hub.disconnect(0)
      pinTrigger = nil
    case (.trigger, .events) where isMeant:
      pinTrigger = event
      hub.setTrigger(event, of: 0)
    case (.trigger, _): if isMeant { pinTrigger?.signalPeer() }
    case (.unmask, .events) where isMeant:
      do throws(SystemError) {
        try hub.setResample(event, of: 0)
      } catch {
        throw .host(.setIRQs, error)
      }
    case (.mask, .events):
      throw .refusal(ENOTSUP, "DEVICE_SET_IRQS: INTx is not masked by an eventfd")
    case (.mask, _): if isMeant { hub.mask(0) }
    case (.unmask, _): if isMeant { hub.unmask(0) }
    }
  }

  private func setVectors(
    _ set: VfioUserInterruptSet,
    _ events: [EventFD]?
  ) throws(VfioUserFailure) {
    guard set.action == .trigger else {
      throw .refusal(ENOTSUP, "DEVICE_SET_IRQS: vectors are masked in the client's table")
    }
    // A function has vectors of one kind; of the other there are none, which are taken away without effect.
    guard let messages = function.messages, count(of: set.index) > 0 else { return }
    let range = Int(set.start)..<Int(set.start) + Int(set.interruptCount)
    switch set.data {
    case .none where range.isEmpty: messages.removeAll()
    case .none: for vector in range { messages.signal(vector) }
    case .flags(let flags):
      for (vector, flag) in zip(range, flags) where flag != 0 { messages.signal(vector) }
    case .events:
      for (place, vector) in range.enumerated() {
        messages.setEvent(events.map { $0[place] }, of: vector)
      }
    }
  }

  private func count(of kind: UInt32) -> Int {
    switch kind {
    case VfioUserInterrupt.pin: function.function.interruptPin == nil ? 0 : 1
    case VfioUserInterrupt.msi: function.function.msi?.vectorCount ?? 0
    case VfioUserInterrupt.msix: function.function.msix?.vectorCount ?? 0
    default: 0
    }
  }
}
