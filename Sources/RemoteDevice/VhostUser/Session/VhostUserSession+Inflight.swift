import GuestMemory
import HostOS
import Virtio

/// Memory that notes what is under way, for a back end that takes over from this one.
extension VhostUserSession {
  /// The memory of a front end, which outlives us.
  struct Inflight {
    let memory: GuestMemory
    let mapping: SharedMapping
    let description: VhostUserInflight
  }

  func changeInflight(
    _ message: VhostUserMessage,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) -> VhostUserAnswer {
    guard case .setInflight(let description) = message else {
      guard case .getInflight(let description) = message else { return .done }
      try need(.inflight, for: .getInflight)
      return try makeInflight(description)
    }
    try need(.inflight, for: .setInflight)
    guard let descriptor = descriptors.takeFirst() else { return .done }
    let mapping = try map(
      descriptor,
      offset: description.offset,
      count: description.size,
      for: .setInflight
    )
    let memory = GuestMemory(shared: [SharedRegion(start: GuestAddress(0), mapping: mapping)])
    let new = Inflight(memory: memory, mapping: mapping, description: description)
    guard region(new) != nil else {
      throw .badValue(
        .setInflight,
        "\(description.size) bytes for \(description.queueCount) rings of \(description.queueSize)"
      )
    }
    changeAll { inflight = new }
    return .done
  }

  /// Where what is under way on a ring is noted; `nil` for nowhere.
  func inflightRegion(of index: Int) -> InflightRegion? {
    guard let inflight, index < Int(inflight.description.queueCount) else { return nil }
    return region(inflight)
  }

  private func region(_ inflight: Inflight) -> InflightRegion? {
    InflightRegion(
      inflight.memory,
      queueCount: Int(inflight.description.queueCount),
      queueSize: inflight.description.queueSize,
      isPacked: features.contains(.packedRing)
    )
  }

  /// New memory, which the front end keeps and gives back before the rings start.
  private func makeInflight(
    _ description: VhostUserInflight
  ) throws(VhostUserError) -> VhostUserAnswer {
    let (queues, size) = (description.queueCount, description.queueSize)
    guard (1...rings.count).contains(Int(queues)),
      (1...VirtqueueConfiguration.maximumSize).contains(size)
    else { throw .badValue(.getInflight, "\(queues) rings of \(size)") }
    let count = InflightRegion.byteCount(
      queueCount: Int(queues),
      queueSize: size,
      isPacked: features.contains(.packedRing)
    )
    let page = GuestMemory.pageSize
    let whole = (count + page - 1) / page * page
    do throws(SystemError) {
      let memory = try GuestMemory(count: whole)
      guard
        let file = try memory.file.borrow({ (file) throws(SystemError) in try file.duplicated() })
      else { return .done }
      // With the padding, if the front end's had it.
      let made = VhostUserInflight(
        size: whole,
        offset: 0,
        queueCount: queues,
        queueSize: size,
        payloadCount: description.payloadCount
      )
      return .replyWithFile(made.bytes, VhostUserAnswer.File(file))
    } catch {
      throw .host(error)
    }
  }
}
