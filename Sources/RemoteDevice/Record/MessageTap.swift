import HostOS
import Synchronization

/// Where the messages of one connection go that are recorded.
///
/// Any thread may call, in the order of the messages.
package final class MessageTap: Sendable {
  private let recorder: MessageRecorder
  private let number: UInt32
  private let name: String
  private let isEnded = Atomic(false)

  init(_ recorder: MessageRecorder, _ number: UInt32, _ name: String) {
    self.recorder = recorder
    self.number = number
    self.name = name
  }

  deinit { end(.closed) }

  /// Records a message that goes to the device.
  func sent(_ bytes: [UInt8], _ descriptors: [Int32], isSecond: Bool = false) {
    guard !isEnded.load(ordering: .relaxed) else { return }
    note(bytes, descriptors.map(RecordedDescriptor.init), isSecond, isFromDevice: false)
  }

  /// Records a message that came from the device.
  func received(
    _ bytes: [UInt8],
    _ descriptors: borrowing DescriptorBatch,
    isSecond: Bool = false
  ) {
    guard !isEnded.load(ordering: .relaxed) else { return }
    var kinds: [RecordedDescriptor] = []
    for index in 0..<descriptors.count {
      kinds.append(RecordedDescriptor(descriptors.number(index)))
    }
    note(bytes, kinds, isSecond, isFromDevice: true)
  }

  private func note(
    _ bytes: [UInt8],
    _ descriptors: [RecordedDescriptor],
    _ isSecond: Bool,
    isFromDevice: Bool
  ) {
    let message = RecordedMessage(
      connection: number,
      time: 0,
      isSecond: isSecond,
      isFromDevice: isFromDevice,
      descriptors: Array(descriptors.prefix(RecordingFormat.descriptorLimit)),
      bytes: bytes
    )
    if !recorder.add(message.record) { end(.tooFast) }
  }

  private func end(_ reason: RecordedEnd.Reason) {
    guard !isEnded.exchange(true, ordering: .relaxed) else { return }
    let end = RecordedEnd(connection: number, time: 0, reason: reason)
    if reason == .tooFast { recorder.lose(end, name) } else { _ = recorder.add(end.record) }
  }
}

extension RecordedDescriptor {
  /// Looks at descriptor `number`.
  init(_ number: Int32) {
    switch try? DescriptorKind(of: number) {
    case .anonymous: self.init(kind: .anonymous, size: 0)
    case .file(let count, _): self.init(kind: .file, size: count)
    case .streamSocket: self.init(kind: .socket, size: 0)
    case .listeningSocket, .other, nil: self.init(kind: .other, size: 0)
    }
  }
}
