import Synchronization

/// The number of a capability (PCI 3.0, appendix H).
public struct PCICapabilityID: RawRepresentable, Hashable, Sendable {
  /// The number.
  public let rawValue: UInt8
  /// Wraps a number.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Defined by the device's vendor; its third byte is its length.
  @inlinable public static var vendorSpecific: Self { Self(rawValue: 0x09) }
  /// MSI.
  @inlinable public static var msi: Self { Self(rawValue: 0x05) }
  /// MSI-X.
  @inlinable public static var msix: Self { Self(rawValue: 0x11) }
}

extension PCIConfigurationSpace {
  /// Appends a capability to the function's list (PCI 3.0, 6.7).
  ///
  /// - Parameters:
  ///   - id: The capability's number.
  ///   - body: The bytes after the number and the link to the next.
  ///   - writable: For each byte of `body`, the bits that the guest can write; none where it ends.
  /// - Returns: The offset of the capability's first byte, a multiple of 4.
  @discardableResult
  public func addCapability(
    _ id: PCICapabilityID,
    _ body: [UInt8],
    writable: [UInt8] = []
  ) -> Int {
    state.withLock { state in
      let start = state.capabilityEnd
      let end = (start + 2 + body.count + 3) & ~3
      precondition(end <= 0x100, "no room for capability \(id.rawValue) at \(start)")
      state.define(start, width: 1, UInt32(id.rawValue))
      for (index, byte) in body.enumerated() {
        let mask = index < writable.count ? writable[index] : 0
        state.define(start + 2 + index, width: 1, UInt32(byte), writable: UInt32(mask))
      }
      state.define(state.capabilityLink, width: 1, UInt32(start))
      // 6.2.3: the list is there if this status bit is.
      state.define(
        Register.status,
        width: 2,
        Status.capabilityList,
        clearable: Status.errors
      )
      state.capabilityLink = start + 1
      state.capabilityEnd = end
      return start
    }
  }

  /// Appends a vendor-specific capability, whose length byte is put in front of `body`.
  ///
  /// - Returns: The offset of the capability's first byte.
  @discardableResult
  public func addVendorCapability(_ body: [UInt8], writable: [UInt8] = []) -> Int {
    precondition(body.count < 190, "vendor capability of \(body.count) bytes")
    return addCapability(
      .vendorSpecific,
      [UInt8(body.count + 3)] + body,
      writable: [0] + writable
    )
  }

  /// Tells the configuration space which register enables MSI-X.
  func setMessageControl(_ offset: Int) {
    state.withLock { $0.messageControl = offset }
  }

  /// Tells the configuration space which register enables MSI.
  func setMessageControl(ofMSI offset: Int) {
    state.withLock { $0.msiControl = offset }
  }
}
