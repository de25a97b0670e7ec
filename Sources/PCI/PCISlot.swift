import DeviceModel
import Glibc
import Logging
import Synchronization

/// One function on the bus, and where its BARs answer now.
///
/// A change of the configuration is applied by the thread that made it, with no lock held, since
/// mapping a BAR may wait for vCPUs to leave the bus, and one of them may be waiting here. A second
/// thread that changes the same function meanwhile leaves its change to the first, and goes on; a
/// guest that needs its change applied at return does not change one function from two vCPUs.
final class PCISlot: Sendable {
  let address: PCIAddress
  let function: any PCIFunction

  private let windows: [PCIBARWindow]
  private let space: any PCIAddressSpace
  private let logger: Logger

  private struct State {
    // A thread is applying; it alone touches `places`.
    var isApplying = false
    // There is something to apply that the applying thread may not have seen.
    var isDirty = false
    var isRemoved = false
    var places: [Place]
  }

  struct Place {
    // Where the BAR answers, and where it was refused.
    var mapped: UInt64?
    var refused: UInt64?
    var isReported = false
  }

  private let state: Mutex<State>

  init(
    _ function: any PCIFunction,
    at address: PCIAddress,
    in space: any PCIAddressSpace,
    logger: Logger
  ) {
    self.function = function
    self.address = address
    self.space = space
    self.logger = logger
    windows = function.configuration.bars.map { PCIBARWindow($0, of: function, at: address) }
    state = Mutex(State(places: windows.map { _ in Place() }))
  }

  /// Where the BARs answer now, by index; absent if nowhere.
  var placements: [Int: UInt64] {
    state.withLock { state in
      var result: [Int: UInt64] = [:]
      for (window, place) in zip(windows, state.places) { result[window.bar.index] = place.mapped }
      return result
    }
  }

  /// Whether a BAR is enabled and answers nowhere, because something else is at its address.
  var hasRefusal: Bool {
    state.withLock { state in state.places.contains { $0.refused != nil } }
  }

  /// Applies the configuration to the pins, the vectors and the BARs.
  ///
  /// - Parameter isRetrying: Whether to try again what was refused at the same address.
  /// - Returns: Whether addresses became free, and how many BARs were refused anew.
  func update(isRetrying: Bool = false) -> (isFreed: Bool, refusals: Int) {
    function.followConfiguration()
    guard begin(isRemoving: false) else { return (false, 0) }
    return apply(isRetrying: isRetrying)
  }

  /// Withdraws the function from the bus; at return its BARs answer nowhere, and it was told so.
  func remove() {
    // Another thread may be applying; it sees the removal, or ends shortly.
    while !begin(isRemoving: true) { sched_yield() }
    _ = apply(isRetrying: false)
    // What the device signals from here on reaches nobody.
    function.msix?.reset()
    function.msi?.withdraw()
    function.interruptPin?.deassert()
  }

  private func begin(isRemoving: Bool) -> Bool {
    state.withLock { state in
      if isRemoving { state.isRemoved = true }
      state.isDirty = true
      guard !state.isApplying else { return false }
      state.isApplying = true
      return true
    }
  }

  private func apply(isRetrying: Bool) -> (isFreed: Bool, refusals: Int) {
    var isFreed = false
    var refusals = 0
    while let (places, isRemoved) = next() {
      for (index, window) in windows.enumerated() {
        let wanted = isRemoved ? nil : function.configuration.placement(of: window.bar)
        var place = places[index]
        if isRetrying { place.refused = nil }
        guard wanted != place.mapped, wanted == nil || wanted != place.refused else { continue }
        if place.mapped != nil { isFreed = true }
        transfer(window, to: wanted, &place)
        if place.refused != nil { refusals += 1 }
        state.withLock { $0.places[index] = place }
      }
    }
    return (isFreed, refusals)
  }

  /// What to apply next, or `nil` when nothing changed since; then the thread has ended applying.
  private func next() -> (places: [Place], isRemoved: Bool)? {
    state.withLock { state in
      guard state.isDirty else {
        state.isApplying = false
        return nil
      }
      state.isDirty = false
      return (state.places, state.isRemoved)
    }
  }

  private func transfer(_ window: PCIBARWindow, to wanted: UInt64?, _ place: inout Place) {
    let bar = window.bar.index
    place.refused = nil
    if place.mapped != nil { function.barDidMove(bar, to: nil) }
    guard let wanted else {
      if place.mapped != nil { space.unmap(window) }
      place.mapped = nil
      return
    }
    do {
      if place.mapped == nil {
        try space.map(window, at: wanted)
      } else {
        try space.move(window, to: wanted)
      }
      place.mapped = wanted
    } catch {
      // The guest chose the address: the BAR does not answer, and everything else goes on.
      if place.mapped != nil { space.unmap(window) }
      place.mapped = nil
      place.refused = wanted
      if !place.isReported {
        logger.warning(
          "\(window) is not decoded at 0x\(String(wanted, radix: 16)): \(error)"
        )
      }
      place.isReported = true
      return
    }
    function.barDidMove(bar, to: wanted)
  }
}
