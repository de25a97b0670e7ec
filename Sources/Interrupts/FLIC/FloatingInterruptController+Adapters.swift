/// Adapters and the suppression of their interrupts.
extension FloatingInterruptController {
  /// The adapter known as `id`, if there is one.
  public func adapter(_ id: UInt32) -> IOAdapter? {
    guard id < IOAdapter.maximumCount else { return nil }
    return state.withLock { $0.adapters[Int(id)] }
  }

  /// The suppression modes.
  public var suppression: AdapterSuppression { state.withLock { $0.suppression } }

  /// Makes an adapter known.
  ///
  /// - Throws: ``FLICError/invalid`` if its id is taken or too high.
  public func register(_ adapter: IOAdapter) throws(FLICError) {
    guard adapter.id < IOAdapter.maximumCount else { throw .invalid }
    try withState { (state) throws(FLICError) in
      guard state.adapters[Int(adapter.id)] == nil else { throw .invalid }
      state.adapters[Int(adapter.id)] = adapter
    }
  }

  /// Does what a `struct kvm_s390_io_adapter_req` asks for.
  func modifyAdapter(_ data: Span<UInt8>) throws(FLICError) {
    guard data.count >= FLICLayout.AdapterRequest.size else { throw .badBuffer }
    let order = configuration.byteOrder
    let id = data.load(UInt32.self, at: FLICLayout.AdapterRequest.id, order)
    let isMasked = data[FLICLayout.AdapterRequest.mask] != 0
    let address = data.load(UInt64.self, at: FLICLayout.AdapterRequest.address, order)
    let operation = IOAdapter.Operation(rawValue: data[FLICLayout.AdapterRequest.type])
    guard let operation else { throw .invalid }
    switch operation {
    case .mask: try mask(adapter: id, isMasked)
    case .map: try map(adapter: id, address)
    case .unmap: try unmap(adapter: id, address)
    }
  }

  /// Masks or unmasks an adapter.
  ///
  /// - Throws: ``FLICError/invalid`` if there is no such adapter, or it cannot be masked.
  public func mask(adapter id: UInt32, _ isMasked: Bool) throws(FLICError) {
    try modify(id) { (adapter) throws(FLICError) in
      guard adapter.isMaskable else { throw .invalid }
      adapter.isMasked = isMasked
    }
  }

  /// Adds a guest address to the mappings of an adapter, once more if it is there.
  ///
  /// - Throws: ``FLICError/invalid`` if there is no such adapter, the address is 0, or the adapter
  ///   maps as many as it may.
  public func map(adapter id: UInt32, _ address: UInt64) throws(FLICError) {
    try modify(id) { (adapter) throws(FLICError) in
      guard address != 0, adapter.mappings.count < IOAdapter.maximumMappings else {
        throw .invalid
      }
      adapter.mappings.append(address)
    }
  }

  /// Removes a guest address from the mappings of an adapter, once.
  ///
  /// - Throws: ``FLICError/invalid`` if there is no such adapter, or it does not map the address.
  public func unmap(adapter id: UInt32, _ address: UInt64) throws(FLICError) {
    try modify(id) { (adapter) throws(FLICError) in
      guard let index = adapter.mappings.firstIndex(of: address) else { throw .invalid }
      adapter.mappings.remove(at: index)
    }
  }

  private func modify(
    _ id: UInt32,
    _ body: (inout IOAdapter) throws(FLICError) -> Void
  ) throws(FLICError) {
    guard id < IOAdapter.maximumCount else { throw .invalid }
    try withState { (state) throws(FLICError) in
      guard var adapter = state.adapters[Int(id)] else { throw .invalid }
      try body(&adapter)
      state.adapters[Int(id)] = adapter
    }
  }

  /// Interrupts on behalf of an adapter, masked or not (`AIRQ_INJECT`).
  ///
  /// Whoever asks for that has looked at the mask; ``signal(adapter:)`` does so itself.
  ///
  /// - Returns: `.ignored` if the interrupt was suppressed.
  /// - Throws: ``FLICError/invalid`` if there is no such adapter, ``FLICError/busy`` if as many I/O
  ///   interrupts as may be are pending; the suppression mode is then as before.
  @discardableResult
  public func inject(adapter id: UInt32) throws(FLICError) -> InterruptDelivery {
    try interrupt(adapter: id, looksAtMask: false)
  }

  /// Interrupts on behalf of an adapter whose indicators have been set, unless it is masked.
  ///
  /// - Returns: `.ignored` if the adapter is masked, or the interrupt was suppressed.
  /// - Throws: As ``inject(adapter:)``.
  @discardableResult
  public func signal(adapter id: UInt32) throws(FLICError) -> InterruptDelivery {
    try interrupt(adapter: id, looksAtMask: true)
  }

  private func interrupt(
    adapter id: UInt32,
    looksAtMask: Bool
  ) throws(FLICError) -> InterruptDelivery {
    guard id < IOAdapter.maximumCount else { throw .invalid }
    let configuration = configuration
    let raised = try withState { (state) throws(FLICError) in
      guard let adapter = state.adapters[Int(id)] else { throw .invalid }
      let isSuppressible = configuration.hasSuppression && adapter.isSuppressible
      let isHeldBack =
        (looksAtMask && adapter.isMasked)
        || (isSuppressible && state.suppression.suppresses(isc: adapter.isc))
      guard !isHeldBack else { return nil as Raised? }
      let interrupt = FloatingInterrupt.io(IOInterrupt(adapterOf: adapter.isc))
      try state.pending.checkRoom(for: interrupt, configuration)
      _ = state.pending.add(interrupt)
      if isSuppressible { state.suppression.didInterrupt(isc: adapter.isc) }
      return Raised(interruptClass: interrupt.interruptClass, targets: state.targets)
    }
    guard let raised else { return .ignored }
    wake(raised.targets, for: raised.interruptClass)
    return .delivered
  }

  private struct Raised: Sendable {
    let interruptClass: FloatingInterruptClasses
    let targets: [any FloatingInterruptTarget]
  }
}
