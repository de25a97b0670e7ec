import HostOS

/// The eventfds that raise interrupts and those that report their ends, of one machine.
///
/// Bindings have the rules and errors of `KVM_IRQFD` and `KVM_EOIFD`. Any thread may call. One thread of this
/// object waits for the eventfds; it ends with it, and all bindings with it.
public final class InterruptEvents: Sendable {
  private struct State {
    var irqfds: [EventFDIdentity: IRQFD] = [:]
    /// By the irqfd's eventfd, since each has one at most.
    var eoifds: [EventFDIdentity: EOIFD] = [:]
  }

  private let router: InterruptRouter
  private let loop: InterruptEventLoop
  // Lock order: this one before the loop's. Sources go, and routers are called, without it.
  private let state = PlaneLock(State())

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
    for irqfd in state.irqfds.values { loop.remove(irqfd.token) }
  }

  /// Binds an eventfd to a GSI, or takes it off, as `KVM_IRQFD` does (api.rst, 4.75).
  ///
  /// Signals that the eventfd holds already count. After de-assignment a signal that was taken before may
  /// still be on its way; none later is.
  ///
  /// - Throws: `badDescriptor`, `invalid` for unknown flags or what is no eventfd, `busy` for an eventfd that
  ///   raises a GSI already, `noSuchGSI`, `notAssigned` if there is no such binding; then nothing changes.
  public func apply(_ request: IRQFDRequest) throws(InterruptError) {
    guard request.flags.isSubset(of: [.deassign, .level]) else {
      throw .invalid("irqfd flags 0x\(String(request.flags.rawValue, radix: 16)): 0x3 are known")
    }
    let identity = try EventFDIdentity(of: request.descriptor)
    if request.flags.contains(.deassign) {
      try deassign(identity, request)
    } else {
      try assign(identity, request)
    }
  }

  private func assign(
    _ identity: EventFDIdentity,
    _ request: IRQFDRequest
  ) throws(InterruptError) {
    let source = try router.makeSource(of: request.gsi)
    let event: EventFD
    do throws(SystemError) {
      event = EventFD(adopting: try OwnedFileDescriptor(duplicating: request.descriptor))
    } catch { throw .system(error) }
    let isLevel = request.flags.contains(.level)
    let irqfd = IRQFD(identity, event, source, isLevel: isLevel, token: loop.makeToken())
    let isNew = state.withLock { state in
      guard state.irqfds[identity] == nil else { return false }
      state.irqfds[identity] = irqfd
      return true
    }
    guard isNew else { throw .busy(request.descriptor) }
    do throws(SystemError) {
      try loop.add(event, token: irqfd.token) { irqfd.consume() }
    } catch {
      state.withLock { $0.irqfds[identity] = nil }
      throw .system(error)
    }
  }

  private func deassign(
    _ identity: EventFDIdentity,
    _ request: IRQFDRequest
  ) throws(InterruptError) {
    let irqfd = state.withLock { state -> IRQFD? in
      guard let irqfd = state.irqfds[identity], irqfd.source.gsi == request.gsi else { return nil }
      state.irqfds[identity] = nil
      return irqfd
    }
    guard let irqfd else { throw .notAssigned(request.descriptor) }
    loop.remove(irqfd.token)
  }

  /// Has the ends of a level irqfd's interrupt signal an eventfd, or undoes that, as `KVM_EOIFD` did.
  ///
  /// On the end of the interrupt of that GSI, if and only if the irqfd's source is asserted, the source is
  /// de-asserted and the eventfd signalled.
  ///
  /// - Throws: `noSuchIRQFD`; `invalid` for an irqfd that is not level-triggered, unknown flags, the missing level flag, or
  ///   what is no eventfd; `badDescriptor`; `busy` for an irqfd that has one; `notAssigned` if there is no such
  ///   pair; then nothing changes.
  public func apply(_ request: EOIFDRequest) throws(InterruptError) {
    let flags = "0x\(String(request.flags.rawValue, radix: 16))"
    guard request.flags.isSubset(of: [.deassign, .levelIRQFD]) else {
      throw .invalid("eoifd flags \(flags): 0x3 are known")
    }
    let identity = try EventFDIdentity(of: request.descriptor)
    guard request.flags.contains(.levelIRQFD) else {
      throw .invalid("eoifd flags \(flags): set 0x2 and name the level irqfd")
    }
    let irqfd = try EventFDIdentity(of: request.irqfd)
    if request.flags.contains(.deassign) {
      try deassign(identity, irqfd, request)
    } else {
      try assign(identity, irqfd, request)
    }
  }

  private func assign(
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
    let event: EventFD
    do throws(SystemError) {
      event = EventFD(adopting: try OwnedFileDescriptor(duplicating: request.descriptor))
    } catch { throw .system(error) }
    let eoifd = EOIFD(identity, event, of: irqfd)
    let isNew = state.withLock { state in
      guard state.eoifds[level] == nil else { return false }
      state.eoifds[level] = eoifd
      return true
    }
    guard isNew else { throw .busy(request.irqfd) }
    do throws(InterruptError) {
      try eoifd.bind()
    } catch {
      state.withLock { $0.eoifds[level] = nil }
      throw error
    }
  }

  private func deassign(
    _ identity: EventFDIdentity,
    _ level: EventFDIdentity,
    _ request: EOIFDRequest
  ) throws(InterruptError) {
    let eoifd = state.withLock { state -> EOIFD? in
      guard let eoifd = state.eoifds[level], eoifd.identity == identity else { return nil }
      state.eoifds[level] = nil
      return eoifd
    }
    guard let eoifd else { throw .notAssigned(request.descriptor) }
    eoifd.unbind()
  }
}
