import HostOS

/// Memory in which back ends note what is under way: made by the first, kept by us, and handed to each.
///
/// We never look into it.
final class VhostUserInflightFile: Sendable {
  let description: VhostUserInflight
  private let file: OwnedFileDescriptor

  /// For handing on.
  var rawValue: Int32 { file.rawValue }

  /// Takes what a back end made for `count` queues of `size`.
  init(
    _ reply: inout VhostUserClient.Reply,
    count: UInt16,
    size: UInt16,
    limit: UInt64
  ) throws(VhostUserBackEndError) {
    let bytes = NativeBytes(reply.payload)
    description = VhostUserInflight(
      size: bytes.word(at: 0),
      offset: bytes.word(at: 8),
      queueCount: bytes.word(at: 16),
      queueSize: bytes.word(at: 18),
      payloadCount: VhostUserInflight.count
    )
    guard let file = reply.descriptors.takeFirst() else {
      throw .wrongDescriptorCount(.getInflight, 0, expected: 1)
    }
    let kind: DescriptorKind
    do throws(SystemError) {
      kind = try DescriptorKind(of: file.rawValue)
    } catch {
      throw .host(error)
    }
    guard case .file(let whole, _) = kind else {
      throw .wrongDescriptor(.getInflight, kind, expected: "a memory file")
    }
    guard description.queueCount == count, description.queueSize == size else {
      throw .badValue(
        .getInflight,
        "\(description.queueCount) rings of \(description.queueSize), not \(count) of \(size)"
      )
    }
    guard description.size > 0, description.size <= limit, description.offset <= whole,
      description.size <= whole - description.offset
    else {
      throw .badValue(
        .getInflight,
        "\(description.size) bytes at \(description.offset) of a file of \(whole)"
      )
    }
    self.file = file
  }
}
