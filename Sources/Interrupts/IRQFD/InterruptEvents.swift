import HostOS

/// The eventfds that raise interrupts and those that report their ends, of one machine.
///
/// Bindings have the rules and errors of `KVM_IRQFD` and `KVM_EOIFD`. Any thread may call. A loop's
/// thread waits for the eventfds; all bindings end with this object.
public final class InterruptEvents: Sendable {
  struct State {
    var irqfds = BindingTable<IRQFD>()
    /// By the irqfd's eventfd, since each has one at most.
    var eoifds = BindingTable<EOIFD>()
  }

  private let router: InterruptRouter
  private let loop: InterruptEventLoop
  // Nothing is called with it held: the table says what a call is at.
  let state = PlaneLock(State())

  /// Makes a table with no bindings; `loop` waits for its eventfds.
  public init(_ router: InterruptRouter, on loop: InterruptEventLoop) {
    self.router = router
    self.loop = loop
  }

  deinit {
    let state = state.withLock { state in
      let all = state
      state = State()
      return all
    }
    for eoifd in state.eoifds.values { eoifd.unbind() }
    for irqfd in state.irqfds.values { end(irqfd) }
  }

  /// Binds an eventfd to a GSI, or takes it off, as `KVM_IRQFD` does (api.rst, 4.75).
  ///
  /// Signals that the eventfd holds already count. After de-assignment a signal that was taken before may
  /// still be on its way; later ones stay in the eventfd.
  ///
  /// - Throws: `badDescriptor`, `invalid` for unknown flags or what is no eventfd, `busy` for an eventfd that
  ///   raises a GSI already, `noSuchGSI`, `notAssigned` if there is no such binding; then nothing changes.
  public func apply(_ request: IRQFDRequest) throws(InterruptError) {
    guard request.flags.isSubset(of: [.deassign, .level]) else {
      throw .invalid("irqfd flags 0x\(String(request.flags.rawValue, radix: 16)): 0x3 are known")
    }
    if request.flags.contains(.deassign) {
      try deassign(try EventFDIdentity(of: request.descriptor), request)
    } else {
      let (event, identity) = try EventFDIdentity.duplicate(request.descriptor)
      try assign(event, identity, request)
    }
  }

  private func assign(
    _ event: EventFD,
    _ identity: EventFDIdentity,
    _ request: IRQFDRequest
  ) throws(InterruptError) {
    let source = try router.makeSource(of: request.gsi)
    let isLevel = request.flags.contains(.level)
    let irqfd = IRQFD(event, source, isLevel: isLevel, token: loop.makeToken())
    guard state.withLock({ $0.irqfds.begin(identity, irqfd) }) else {
      throw .busy(request.descriptor)
    }
    do throws(SystemError) {
      try loop.add(event, token: irqfd.token) { irqfd.consume() }
    } catch {
      state.withLock { $0.irqfds.remove(identity) }
      throw .system(error)
    }
    state.withLock { $0.irqfds.commit(identity) }
  }

  private func deassign(
    _ identity: EventFDIdentity,
    _ request: IRQFDRequest
  ) throws(InterruptError) {
    let irqfd = state.withLock { state in
      state.irqfds.beginRemoval(identity) { $0.source.gsi == request.gsi }
    }
    guard let irqfd else { throw .notAssigned(request.descriptor) }
    end(irqfd)
    state.withLock { $0.irqfds.remove(identity) }
  }

  private func end(_ irqfd: IRQFD) {
    loop.remove(irqfd.token)
    irqfd.end()
  }
}
