import HostOS

extension InterruptEvents {
  /// Has the ends of a level irqfd's interrupt signal an eventfd, or undoes that, as `KVM_EOIFD` did.
  ///
  /// On the end of the interrupt of that GSI, if and only if the irqfd's source is asserted, the source is
  /// de-asserted and the eventfd signalled. After de-assignment the signal of an end that came before may
  /// still be on its way.
  ///
  /// - Throws: `noSuchIRQFD`; `invalid` for an irqfd that is not level-triggered, unknown flags, the missing level flag, or
  ///   what is no eventfd; `badDescriptor`; `busy` for an irqfd that has one; `notAssigned` if there is no such
  ///   pair; then nothing changes.
  public func apply(_ request: EOIFDRequest) throws(InterruptError) {
    let flags = "0x\(String(request.flags.rawValue, radix: 16))"
    guard request.flags.isSubset(of: [.deassign, .levelIRQFD]) else {
      throw .invalid("eoifd flags \(flags): 0x3 are known")
    }
    let (event, identity) = try EventFDIdentity.duplicate(request.descriptor)
    guard request.flags.contains(.levelIRQFD) else {
      throw .invalid("eoifd flags \(flags): set 0x2 and name the level irqfd")
    }
    let irqfd = try EventFDIdentity(of: request.irqfd)
    if request.flags.contains(.deassign) {
      try deassign(identity, irqfd, request)
    } else {
      try assign(event, identity, irqfd, request)
    }
  }

  private func assign(
    _ event: EventFD,
    _ identity: EventFDIdentity,
    _ level: EventFDIdentity,
    _ request: EOIFDRequest
  ) throws(InterruptError) {
    guard let irqfd = state.withLock({ $0.irqfds[level] }) else {
      throw .noSuchIRQFD(request.irqfd)
    }
    guard irqfd.isLevel else {
      throw .invalid("descriptor \(request.irqfd) raises an edge; assign it with the level flag")
    }
    let eoifd = EOIFD(identity, event, of: irqfd)
    guard state.withLock({ $0.eoifds.begin(level, eoifd) }) else { throw .busy(request.irqfd) }
    do throws(InterruptError) {
      try eoifd.bind()
    } catch {
      state.withLock { $0.eoifds.remove(level) }
      throw error
    }
    state.withLock { $0.eoifds.commit(level) }
  }

  private func deassign(
    _ identity: EventFDIdentity,
    _ level: EventFDIdentity,
    _ request: EOIFDRequest
  ) throws(InterruptError) {
    let eoifd = state.withLock { state in
      state.eoifds.beginRemoval(level) { $0.identity == identity }
    }
    guard let eoifd else { throw .notAssigned(request.descriptor) }
    eoifd.unbind()
    state.withLock { $0.eoifds.remove(level) }
  }
}
