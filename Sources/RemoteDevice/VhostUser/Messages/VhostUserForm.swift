extension VhostUserMessage {
  /// A payload on its way to becoming a message.
  struct Form {
    let request: VhostUserRequest
    let bytes: NativeBytes
    let count: Int
    let descriptors: Int

    init(_ request: VhostUserRequest, _ bytes: NativeBytes, _ count: Int, _ descriptors: Int) {
      self.request = request
      self.bytes = bytes
      self.count = count
      self.descriptors = descriptors
    }

    /// Checks the length of the payload and the number of descriptors.
    func check(
      _ expected: Int,
      descriptors allowed: ClosedRange<Int> = 0...0
    ) throws(VhostUserError) {
      guard count == expected else { throw .wrongSize(request, count, expected: expected) }
      guard allowed.contains(descriptors) else {
        throw .wrongDescriptorCount(request, descriptors, expected: allowed.upperBound)
      }
    }

    /// A single number.
    func number() throws(VhostUserError) -> UInt64 {
      try check(8)
      return bytes.word(at: 0)
    }

    /// The number of a ring, and another.
    func ring() throws(VhostUserError) -> (index: Int, number: UInt32) {
      try check(8)
      let index: UInt32 = bytes.word(at: 0)
      return (Int(index), bytes.word(at: 4))
    }

    /// The number of a ring in bits 0 to 7, and in bit 8 whether there is no descriptor.
    func event() throws(VhostUserError) -> (index: Int, hasDescriptor: Bool) {
      try check(8, descriptors: 0...1)
      let number: UInt64 = bytes.word(at: 0)
      let hasDescriptor = number & 1 << 8 == 0
      guard descriptors == (hasDescriptor ? 1 : 0) else {
        throw .wrongDescriptorCount(request, descriptors, expected: hasDescriptor ? 1 : 0)
      }
      return (Int(number & 0xFF), hasDescriptor)
    }

    func ringAddresses() throws(VhostUserError) -> VhostUserMessage {
      try check(40)
      let index: UInt32 = bytes.word(at: 0)
      return .setRingAddress(
        Int(index),
        VhostUserRingAddresses(
          flags: bytes.word(at: 4),
          descriptors: bytes.word(at: 8),
          used: bytes.word(at: 16),
          available: bytes.word(at: 24),
          log: bytes.word(at: 32)
        )
      )
    }

    /// A table of regions, each of which has a descriptor.
    func table() throws(VhostUserError) -> [VhostUserRegion] {
      guard count >= 8 else { throw .wrongSize(request, count, expected: 8) }
      let number: UInt32 = bytes.word(at: 0)
      guard number <= UInt32(VhostUserMessage.regionLimit) else {
        throw .badValue(request, "\(number) regions, at most \(VhostUserMessage.regionLimit) fit")
      }
      let regions = Int(number)
      try check(8 + regions * VhostUserRegion.count, descriptors: regions...regions)
      return (0..<regions).map { VhostUserRegion(bytes, at: 8 + $0 * VhostUserRegion.count) }
    }

    /// One region, after a word of padding.
    func region(descriptors: ClosedRange<Int>) throws(VhostUserError) -> VhostUserRegion {
      try check(8 + VhostUserRegion.count, descriptors: descriptors)
      return VhostUserRegion(bytes, at: 8)
    }

    /// A piece of the device's configuration.
    func configuration() throws(VhostUserError) -> (
      offset: UInt32, flags: UInt32, bytes: [UInt8]
    ) {
      guard count >= 12 else { throw .wrongSize(request, count, expected: 12) }
      let size: UInt32 = bytes.word(at: 4)
      guard size <= VhostUserMessage.configurationLimit else {
        throw .badValue(
          request,
          "\(size) bytes, at most \(VhostUserMessage.configurationLimit) fit"
        )
      }
      try check(12 + Int(size))
      return (bytes.word(at: 0), bytes.word(at: 8), Array(bytes.array[12...]))
    }

    func inflight(descriptors: Int) throws(VhostUserError) -> VhostUserInflight {
      // With the padding that a C compiler adds, and without.
      try check(count == 20 ? 20 : 24, descriptors: descriptors...descriptors)
      return VhostUserInflight(
        size: bytes.word(at: 0),
        offset: bytes.word(at: 8),
        queueCount: bytes.word(at: 16),
        queueSize: bytes.word(at: 18),
        payloadCount: count
      )
    }
  }
}
