public import DeviceModel
import Glibc
import GuestMemory
public import Logging
public import PCI

/// A PCI function in a process of its own, as the server of whatever protocol drives it.
///
/// It is made once, and peers come and go. One thread calls, which is the server's; the function works on
/// threads of its own.
public final class HostedFunction {
  /// The function.
  public let function: any PCIFunction
  /// The function's vectors, one eventfd each; `nil` where the protocol has none.
  public let messages: HostedMessages?
  /// The function's doorbells; `nil` where the protocol has no way to ring them.
  public let doorbells: HostedDoorbells?
  private let dma = DMAHandle()
  private let windows: [PCIBARWindow]
  // Whether the function goes on from a state that a peer brought, once it is resumed.
  private var isRestored = false
  // What the function works on now.
  private var mapped: Mapped

  private struct Mapped {
    var memory = GuestMemory(shared: [])
    var mappings: [ObjectIdentifier] = []
    var distant: [DistantMemory.Range] = []
  }

  /// Makes a function.
  ///
  /// - Parameters:
  ///   - line: What its INTx pin is wired to.
  ///   - messages: Where its vectors come from; without it the function has no MSI-X.
  ///   - doorbells: Where its doorbells are noted.
  ///   - logger: Where to say what a driver did wrong.
  ///   - makeFunction: Makes it, without memory yet.
  /// - Throws: What `makeFunction` throws.
  public init(
    line: any InterruptLine,
    messages: HostedMessages? = nil,
    doorbells: HostedDoorbells? = nil,
    logger: Logger,
    _ makeFunction: (HostedWiring) throws -> any PCIFunction
  ) throws {
    let function = try makeFunction(
      HostedWiring(
        memory: GuestMemory(shared: []),
        dma: dma,
        line: line,
        messages: messages,
        doorbells: doorbells,
        logger: logger
      )
    )
    self.function = function
    mapped = Mapped()
    self.messages = messages
    self.doorbells = doorbells
    dma.attach(function.configuration)
    windows = function.configuration.bars.map {
      PCIBARWindow($0, of: function, at: PCIAddress(device: 0))
    }
    for window in windows {
      doorbells?.collect(bar: window.bar.index) { function.barDidMove(window.bar.index, to: 0) }
    }
  }

  // MARK: Configuration

  /// Reads configuration registers; those beyond the last byte read as ones.
  ///
  /// - Parameters:
  ///   - offset: The first byte.
  ///   - width: 1 to 8 bytes, aligned or not.
  /// - Returns: The registers, in the low `8 * width` bits.
  public func readConfiguration(_ offset: Int, width: Int) -> UInt64 {
    precondition(offset >= 0 && (1...8).contains(width), "\(width) bytes at \(offset)")
    return function.readRegisters(offset, width: width)
  }

  /// Writes configuration registers; those beyond the last byte are dropped.
  ///
  /// - Parameters:
  ///   - value: What the guest wrote, in the low `8 * width` bits.
  ///   - offset: The first byte.
  ///   - width: 1 to 8 bytes, aligned or not.
  public func writeConfiguration(_ value: UInt64, _ offset: Int, width: Int) {
    precondition(offset >= 0 && (1...8).contains(width), "\(width) bytes at \(offset)")
    function.writeRegisters(value, offset, width: width)
    function.followConfiguration()
  }

  // MARK: BARs

  /// The BAR of that index, if the function has it.
  public func bar(_ index: Int) -> PCIBAR? { window(index)?.bar }

  /// The memory that a BAR of that index has; a peer may map it.
  public func memory(ofBAR index: Int) -> PCIBARMemory? {
    (function as? PCIDeviceFunction)?.barMemory.first { $0.bar == index }
  }

  /// Where in which BAR an address is, as the guest has placed them; `nil` if no BAR answers there.
  public func access(
    at address: UInt64,
    width: Int,
    in space: Doorbell.Space
  ) -> BusAccess? {
    for window in windows where window.bar.space == space {
      guard let start = function.configuration.placement(of: window.bar) else { continue }
      let offset = address &- start
      guard isInside(window.bar, offset, width) else { continue }
      return BusAccess(region: window.bar.index, offset: offset, width: width)
    }
    return nil
  }

  /// Reads a register, or the MSI-X table; all ones where there is no such BAR, or it has an end before.
  ///
  /// - Parameter access: Which BAR, where in it, and 1, 2, 4 or 8 bytes.
  /// - Returns: What the guest reads, in the low bits.
  public func read(_ access: BusAccess) -> UInt64 {
    guard let window = window(access.region), isInside(window.bar, access.offset, access.width)
    else { return .max >> UInt64(64 - 8 * access.width) }
    return window.read(access)
  }

  /// Writes a register, or the MSI-X table; nothing happens where there is no such BAR, or it has an end
  /// before.
  ///
  /// - Parameters:
  ///   - value: What the guest wrote, in the low bits.
  ///   - access: Which BAR, where in it, and 1, 2, 4 or 8 bytes.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard let window = window(access.region), isInside(window.bar, access.offset, access.width)
    else { return }
    window.write(value, access)
  }

  // MARK: Memory and reset

  /// Uses this memory from now on; returns only when nothing of the function touches what was before.
  ///
  /// - Parameters:
  ///   - memory: The ranges.
  ///   - peer: Who is asked for what is not mapped.
  public func use(_ memory: HostedMemory, peer: (any DMAPeer)? = nil) {
    let (mappings, distant) = (memory.mappings, memory.distantRanges)
    if mappings == mapped.mappings, distant == mapped.distant {
      // Only what no device works on directly has changed.
      dma.use(memory, mappedAs: mapped.memory, peer: peer)
      return
    }
    let new = Mapped(
      memory: memory.makeGuestMemory(peer, lost: keeper?.keepsState == true ? Self.die : nil),
      mappings: mappings,
      distant: distant
    )
    use(memory, new, peer)
  }

  /// What a process ends with that has lost its guest's memory, and leaves its work to another.
  static var lostMemoryCode: Int32 { 5 }

  /// Ends the process, which keeps its state for another, before it can note as done what has not reached the guest.
  ///
  /// To end at any moment is what that state is proof against; to go on without memory is not.
  private static let die: @Sendable () -> Void = { _exit(lostMemoryCode) }

  /// Puts the function back to how it was at power-on, configuration included; it keeps its memory.
  public func reset() {
    function.resetWhole()
    isRestored = false
    keeper?.noteState()
  }

  /// Leaves the state as it is now to the process that takes over, if it is kept for one.
  public func leaveState() { keeper?.leaveState() }

  private var keeper: (any StateKeepingFunction)? { function as? any StateKeepingFunction }

  /// The peer has gone: resets the function, and lets go of all that was the peer's.
  public func release() {
    function.resetWhole()
    messages?.removeAll()
    use(nil, Mapped(), nil)
  }

  // MARK: Saving and restoring

  /// Whether the function's state can be had, and put back.
  public var canBeSaved: Bool { function is any SavedPCIFunction }

  /// Stops the function where it stands; nothing of it touches memory until ``resume()``, whatever memory comes.
  public func pause() { saved?.pause() }

  /// Goes on.
  public func resume() {
    saved?.resume()
    if isRestored { saved?.signalRestart() }
    isRestored = false
  }

  /// The whole state of a function that is paused.
  ///
  /// - Throws: `PCIStateError` if it cannot be had.
  public func saveState() throws(PCIStateError) -> [UInt8] {
    guard let saved else { throw PCIStateError("the function keeps its state to itself") }
    return try saved.saveState()
  }

  /// Puts a state into a function that is paused, and was reset.
  ///
  /// - Throws: `PCIStateError` if it is none of a function like this; the function is reset then.
  public func restoreState(_ state: [UInt8]) throws(PCIStateError) {
    guard let saved else { throw PCIStateError("the function takes no state") }
    do throws(PCIStateError) {
      try saved.restoreState(state)
    } catch {
      reset()
      throw error
    }
    keeper?.noteState()
    isRestored = true
  }

  private var saved: (any SavedPCIFunction)? { function as? any SavedPCIFunction }

  private func use(_ ranges: HostedMemory?, _ new: Mapped, _ peer: (any DMAPeer)?) {
    mapped = new
    dma.use(ranges, mappedAs: new.memory, peer: peer)
    (function as? any GuestMemoryUser)?.replaceMemory(with: new.memory)
  }

  private func window(_ index: Int) -> PCIBARWindow? { windows.first { $0.bar.index == index } }

  private func isInside(_ bar: PCIBAR, _ offset: UInt64, _ width: Int) -> Bool {
    offset < bar.size && UInt64(width) <= bar.size - offset
  }
}
