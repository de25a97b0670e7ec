/// The device-attribute interface that Linux has (Documentation/virt/kvm/devices/s390_flic.rst).
///
/// A buffer stands for the memory at the attribute's address. It may be longer than what is read or
/// written; where it is shorter, memory ends there: ``FLICError/badBuffer``. Unlike Linux, which
/// stops at the first bad record, a call that fails has changed nothing.
extension FloatingInterruptController {
  /// Sets an attribute (`KVM_SET_DEVICE_ATTR`).
  ///
  /// - Parameters:
  ///   - group: A ``FLICGroup``.
  ///   - attr: What the group makes of it: a length in bytes, or an adapter's id.
  ///   - flags: 0; only `CLEAR_IO_IRQ` looks.
  ///   - data: What is at the attribute's address.
  /// - Throws: ``FLICError/invalid`` for a group that is unknown or cannot be set.
  public func setAttribute(
    group: UInt32,
    attr: UInt64 = 0,
    flags: UInt32 = 0,
    data: Span<UInt8> = Span()
  ) throws(FLICError) {
    guard let group = FLICGroup(rawValue: group) else { throw .invalid }
    switch group {
    case .getAllIRQs: throw .invalid
    case .enqueue: try enqueue(records: data, length: attr)
    case .clearIRQs:
      try checkAlive()
      clear()
    case .apfEnable: try withState { (state) throws(FLICError) in state.allowsPageFaults = true }
    case .apfDisableWait:
      try withState { (state) throws(FLICError) in state.allowsPageFaults = false }
      configuration.pageFaults?.waitUntilDone()
    case .adapterRegister: try register(IOAdapter(data, configuration.byteOrder))
    case .adapterModify: try modifyAdapter(data)
    case .clearIOIRQ: try clearIOIRQ(attr: attr, flags: flags, data)
    case .aism: try setSuppressionMode(data)
    case .airqInject: try inject(adapter: UInt32(truncatingIfNeeded: attr))
    case .aismAll: try setSuppressionModes(data)
    }
  }

  /// Gets an attribute (`KVM_GET_DEVICE_ATTR`).
  ///
  /// - Parameters:
  ///   - group: A ``FLICGroup``.
  ///   - attr: The length of the buffer, in bytes.
  ///   - data: The buffer at the attribute's address.
  /// - Returns: For `GET_ALL_IRQS`, how many records were written; else 0.
  /// - Throws: ``FLICError/invalid`` for a group that is unknown or cannot be got.
  public func getAttribute(
    group: UInt32,
    attr: UInt64,
    data: inout MutableSpan<UInt8>
  ) throws(FLICError) -> Int {
    switch FLICGroup(rawValue: group) {
    case .getAllIRQs: return try copyAll(to: &data, length: attr)
    case .aismAll:
      guard attr >= UInt64(FLICLayout.SuppressionModes.size) else { throw .invalid }
      guard configuration.hasSuppression else { throw .unsupported }
      guard data.count >= FLICLayout.SuppressionModes.size else { throw .badBuffer }
      let modes = try withState { (state) throws(FLICError) in state.suppression }
      data[FLICLayout.SuppressionModes.single] = modes.single
      data[FLICLayout.SuppressionModes.none] = modes.none
      return 0
    default: throw .invalid
    }
  }

  /// Says whether there is such a group (`KVM_HAS_DEVICE_ATTR`): throws ``FLICError/noSuchGroup`` if not.
  public func hasAttribute(group: UInt32) throws(FLICError) {
    try checkAlive()
    guard FLICGroup(rawValue: group) != nil else { throw .noSuchGroup }
  }

  func checkAlive() throws(FLICError) { try withState { (_) throws(FLICError) in } }

  private func enqueue(records data: Span<UInt8>, length: UInt64) throws(FLICError) {
    let size = FLICLayout.Record.size
    guard length <= FLICConfiguration.maximumBuffer else { throw .invalid }
    let length = Int(length)
    guard length % size == 0 else { throw .invalid }
    guard length <= data.count else { throw .badBuffer }
    if length == size {
      _ = try enqueue(FloatingInterrupt(record: data, at: 0, configuration.byteOrder))
      return
    }
    var interrupts: [FloatingInterrupt] = []
    interrupts.reserveCapacity(length / size)
    for offset in stride(from: 0, to: length, by: size) {
      interrupts.append(
        try FloatingInterrupt(record: data, at: offset, configuration.byteOrder)
      )
    }
    try enqueue(contentsOf: interrupts)
  }

  private func copyAll(to data: inout MutableSpan<UInt8>, length: UInt64) throws(FLICError) -> Int {
    guard length != 0, length <= FLICConfiguration.maximumBuffer else { throw .invalid }
    let room = Int(length) / FLICLayout.Record.size
    let interrupts = try withState { (state) throws(FLICError) in
      guard state.pending.count <= room else { throw .tooSmall }
      return state.pending.all()
    }
    guard interrupts.count * FLICLayout.Record.size <= data.count else { throw .badBuffer }
    for (index, interrupt) in interrupts.enumerated() {
      interrupt.write(to: &data, at: index * FLICLayout.Record.size, configuration.byteOrder)
    }
    return interrupts.count
  }

  private func clearIOIRQ(attr: UInt64, flags: UInt32, _ data: Span<UInt8>) throws(FLICError) {
    guard flags == 0, attr == 4 else { throw .invalid }
    guard data.count >= 4 else { throw .badBuffer }
    let subsystemID = data.load(UInt32.self, at: 0, configuration.byteOrder)
    // Zero would be every adapter's.
    guard subsystemID != 0 else { throw .invalid }
    try withState { (state) throws(FLICError) in
      state.pending.remove(subsystemID: subsystemID)
    }
  }

  private func setSuppressionMode(_ data: Span<UInt8>) throws(FLICError) {
    guard configuration.hasSuppression else { throw .unsupported }
    guard data.count >= FLICLayout.SuppressionRequest.size else { throw .badBuffer }
    let isc = data[FLICLayout.SuppressionRequest.isc]
    let mode = data.load(
      UInt16.self,
      at: FLICLayout.SuppressionRequest.mode,
      configuration.byteOrder
    )
    guard isc < 8, let mode = AdapterSuppression.Mode(rawValue: mode) else { throw .invalid }
    try withState { (state) throws(FLICError) in state.suppression.set(mode, ofISC: isc) }
  }

  private func setSuppressionModes(_ data: Span<UInt8>) throws(FLICError) {
    guard configuration.hasSuppression else { throw .unsupported }
    guard data.count >= FLICLayout.SuppressionModes.size else { throw .badBuffer }
    let modes = AdapterSuppression(
      single: data[FLICLayout.SuppressionModes.single],
      none: data[FLICLayout.SuppressionModes.none]
    )
    try withState { (state) throws(FLICError) in state.suppression = modes }
  }
}
