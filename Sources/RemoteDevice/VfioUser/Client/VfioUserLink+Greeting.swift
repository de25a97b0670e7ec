import HostOS
import Synchronization

/// The greeting.
extension VfioUserLink {
  /// Agrees on a version with the server.
  ///
  /// - Parameter deadline: When it is to be over.
  /// - Throws: ``VfioUserError``; the connection has ended.
  func greet(_ deadline: UInt64) throws(VfioUserError) {
    var own = VfioUserCapabilities()
    own.descriptorLimit = UInt64(DescriptorBatch.capacity)
    own.dataLimit = UInt64(Self.dataLimit)
    own.hasTwinSocket = true
    var answer = try ask(.version(VfioUserVersion(own)), deadline: deadline)
    guard case .version(let version) = answer.reply else { return }
    guard version.major == 0 else {
      throw end(.badValue(.version, "version \(version.major).\(version.minor), not 0"))
    }
    let server = version.capabilities
    guard server.dataLimit >= 8, server.descriptorLimit >= 1 else {
      throw end(
        .badValue(
          .version,
          "\(server.dataLimit) bytes of data and \(server.descriptorLimit) descriptors at most"
        )
      )
    }
    dataCount.store(Int(min(server.dataLimit, UInt64(Self.dataLimit))), ordering: .relaxed)
    descriptorCount.store(
      Int(min(server.descriptorLimit, UInt64(DescriptorBatch.capacity))),
      ordering: .relaxed
    )
    let place = server.hasTwinSocket ? server.twinSocket : nil
    let expected = place == nil ? 0 : 1
    guard answer.descriptors.count == expected, place ?? 0 == 0 else {
      throw end(
        .wrongDescriptorCount(
          .version,
          answer.descriptors.count,
          expected: expected...expected
        )
      )
    }
    var twin = VfioUserChannel?.none
    if let descriptor = answer.descriptors.takeFirst() {
      let kind = try kind(of: descriptor.rawValue)
      guard kind == .streamSocket else {
        throw end(.wrongDescriptor(.version, kind, expected: "a unix stream socket"))
      }
      var channel = VfioUserChannel(descriptor)
      channel.receiver.allow(data: Self.dataLimit)
      channel.record(tap, isSecond: true)
      twin = consume channel
    }
    let isShared = twin != nil
    input.withLock { input in
      input.receiver.allow(data: Self.dataLimit)
      swap(&input.twin, &twin)
    }
    self.isShared.store(isShared, ordering: .releasing)
  }

  /// What a descriptor is that came with a message.
  ///
  /// - Throws: ``VfioUserError``; the connection has ended.
  func kind(of descriptor: Int32) throws(VfioUserError) -> DescriptorKind {
    do throws(SystemError) {
      return try DescriptorKind(of: descriptor)
    } catch {
      throw end(.host(error))
    }
  }
}
