/// The device-attribute interface as it was first proposed, in 2013: one record a call, no lengths.
extension FloatingInterruptController {
  /// Sets an attribute of the first interface.
  ///
  /// - Parameters:
  ///   - group: A ``FirstFLICGroup``.
  ///   - data: What is at the attribute's address: for `ENQUEUE` a record.
  /// - Throws: ``FLICError/invalid`` for a group that is unknown or cannot be set, and for a type that the
  ///   first interface did not have.
  public func setAttribute(
    firstGeneration group: UInt32,
    data: Span<UInt8> = Span()
  ) throws(FLICError) {
    switch FirstFLICGroup(rawValue: group) {
    case .enqueue:
      guard data.count >= FLICLayout.Record.size else { throw .badBuffer }
      let interrupt = try FloatingInterrupt(record: data, at: 0, configuration.byteOrder)
      // Page faults were to follow later.
      if case .pageFaultDone = interrupt { throw .invalid }
      _ = try enqueue(interrupt)
    case .clearIRQs:
      try checkAlive()
      clear()
    case .dequeue, nil: throw .invalid
    }
  }

  /// Gets an attribute of the first interface.
  ///
  /// `DEQUEUE` takes out one interrupt, the one that a processor without masks would take next.
  ///
  /// - Parameters:
  ///   - group: A ``FirstFLICGroup``.
  ///   - data: The buffer for the record.
  /// - Throws: ``FLICError/empty`` if nothing is pending, ``FLICError/badBuffer`` if the record does
  ///   not fit (the interrupt remains pending then), ``FLICError/invalid`` for any other group.
  public func getAttribute(
    firstGeneration group: UInt32,
    data: inout MutableSpan<UInt8>
  ) throws(FLICError) {
    guard FirstFLICGroup(rawValue: group) == .dequeue else { throw .invalid }
    let hasRoom = data.count >= FLICLayout.Record.size
    let interrupt = try withState { (state) throws(FLICError) in
      guard !state.pending.classes.isEmpty else { throw .empty }
      guard hasRoom else { throw .badBuffer }
      return state.pending.takeFirst()
    }
    interrupt?.write(to: &data, at: 0, configuration.byteOrder)
  }

  /// The first interface could not be asked what it has: always ``FLICError/notPermitted``.
  public func hasAttribute(firstGeneration group: UInt32) throws(FLICError) {
    throw .notPermitted
  }
}
