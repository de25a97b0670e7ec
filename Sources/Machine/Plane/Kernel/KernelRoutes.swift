import DeviceModel
import Interrupts
import KVM

/// The kernel's table of routes: those of the pins, and one for each message.
///
/// Any thread may call. GSIs 0 to 23 are the pins; messages get those above, one each, when they are made.
final class KernelRoutes: Sendable {
  private struct State {
    var pins: [KVMRoute] = []
    /// The route of each message by GSI; `nil` for one that is unplugged or free.
    var messages: [UInt32: InterruptMessage] = [:]
    var free: [UInt32] = []
    var next: UInt32
  }

  /// The pins of the I/O APIC (82093AA, 1.0), and with them the GSIs that are no messages.
  static var pinCount: UInt32 { 24 }
  /// The most routes that the pins have: one at each controller for the first 16.
  private static var pinRouteLimit: Int { 40 }

  /// Replaces the kernel's table.
  typealias Commit = @Sendable ([KVMRoute]) throws(KVMError) -> Void

  let vm: VM
  private let replaceTable: Commit
  private let limit: UInt32
  // Held over the call that replaces the kernel's table: an older table must not overtake a newer.
  private let state: PlaneLock<State>
  private let firstMessage: UInt32

  /// Takes over the routing of `vm`, whose interrupt controllers exist already.
  ///
  /// - Parameters:
  ///   - vm: The machine.
  ///   - pins: The routes of its pins.
  ///   - firstMessage: The first GSI that is no pin's.
  ///   - commit: What replaces the kernel's table, if that is not `vm`.
  /// - Throws: ``KVMError``.
  init(
    _ vm: VM,
    pins: [KVMRoute],
    firstMessage: UInt32 = KernelRoutes.pinCount,
    commit: Commit? = nil
  ) throws(KVMError) {
    self.vm = vm
    if let commit {
      replaceTable = commit
    } else {
      replaceTable = { (routes) throws(KVMError) in try vm.setGSIRouting(routes) }
    }
    self.firstMessage = firstMessage
    state = PlaneLock(State(next: firstMessage))
    // The capability's number is that of the routes; some pins have two.
    let extra = Self.pinRouteLimit - Int(Self.pinCount)
    limit = UInt32(clamping: try vm.check(.irqRouting) - extra)
    try setPins { pins }
  }

  /// Replaces the routes of the pins by what `routes` says, unless they are the same.
  ///
  /// - Parameter routes: Asked with the lock held, so that of several callers the last asks last.
  /// - Throws: ``KVMError``; then the old routes stay.
  func setPins(_ routes: () -> [KVMRoute]) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      let pins = routes()
      guard pins != state.pins else { return }
      try commit(pins, state.messages)
      state.pins = pins
    }
  }

  /// Finds a GSI for a message.
  func allocate() throws(MachineError) -> UInt32 {
    let gsi = state.withLock { state -> UInt32? in
      if let gsi = state.free.popLast() { return gsi }
      guard state.next < limit else { return nil }
      defer { state.next += 1 }
      return state.next
    }
    if let gsi { return gsi }
    throw .tooManyDevices(
      kind: "message-signalled interrupt",
      limit: max(0, Int(limit) - Int(firstMessage))
    )
  }

  /// Gives a message's GSI back.
  func release(_ gsi: UInt32) { state.withLock { $0.free.append(gsi) } }

  /// Sets or removes the route of a message.
  func set(_ gsi: UInt32, to message: InterruptMessage?) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      guard state.messages[gsi] != message else { return }
      var messages = state.messages
      messages[gsi] = message
      try commit(state.pins, messages)
      state.messages = messages
    }
  }

  /// The messages that have a route.
  var messageRoutes: [(gsi: GSI, message: InterruptMessage)] {
    state.withLock { $0.messages }.map { (GSI($0.key), $0.value) }.sorted { $0.gsi < $1.gsi }
  }

  private func commit(
    _ pins: [KVMRoute],
    _ messages: [UInt32: InterruptMessage]
  ) throws(KVMError) {
    try replaceTable(
      pins + messages.map { .msi(gsi: $0.key, address: $0.value.address, data: $0.value.data) }
    )
  }
}
