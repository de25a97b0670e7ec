public import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Logging
public import PCI
import Synchronization
import Virtio

/// A PCI function that a vfio-user server serves, on one board.
///
/// Registers behind BARs are the server's: a read waits for it, a write does not. The guest's memory and the eventfds of
/// interrupts and doorbells are handed over once. When the server is gone, all reads give ones, as those of a
/// device that was pulled out; once there is one again, the function is as at power-on: its BARs answer
/// when the guest enables them anew.
public final class VfioUserFunction: RemotePCIFunction {
  /// Who serves it.
  enum Presence: UInt8 {
    /// A server, which the guest has set up.
    case present
    /// Nobody.
    case gone
    /// Another server, which the guest has not set up yet.
    case returned
  }

  struct Setup: ~Copyable {
    var interrupts: VfioUserInterrupts
    /// The server's, while it has our memory and our eventfds.
    var connection: VfioUserLink?
    var isStopped = false
    /// Whether the device is to stand still, whoever serves it.
    var isPaused = false
    /// Whether the next server has to forget what it finds: another driver's, or what the guest has reset since.
    var owesReset: Bool
    /// Whether the guest was told that nobody is there, so that it has to set up the next one anew.
    var hasFailed = false
  }

  /// What messages call the function.
  public let name: String
  let shape: VfioUserShape
  let remote: VfioUserRemote
  let registers: VfioUserRegisters
  let doorbells: VfioUserDoorbells
  /// What the guest reaches without asking the server.
  let areas: PCIMemoryAreas
  let memory: Mutex<GuestMemory?>
  /// What of the memory the server may use; `nil` for all.
  let window: DMAWindow?
  /// Signalled at ends of interrupts that the server has to be told of, for the reader.
  private let signalledEnds = Mutex<EventFD?>(nil)
  let presence = Atomic(Presence.gone.rawValue)
  let log: LimitedLog
  let logger: Logger
  // Held while the server is asked for what concerns all of the function. Lock order: this one before those of the
  // doorbells, the line and MSI-X.
  let setup: Mutex<Setup>

  /// Puts the function of `remote` on a board.
  ///
  /// - Throws: ``VfioUserError`` if the server does not take the board; one that is away may come back.
  init(_ remote: VfioUserRemote, _ wiring: RemoteWiring, logger: Logger) throws {
    self.remote = remote
    self.logger = logger
    name = remote.name
    shape = remote.shape
    let log = LimitedLog(logger, prefix: remote.name)
    self.log = log
    areas = PCIMemoryAreas(wiring.mapper) { log.error($0) }
    registers = try VfioUserRegisters(remote.shape, messages: wiring.messages)
    doorbells = VfioUserDoorbells(wiring.doorbells, log: log)
    memory = Mutex(wiring.memory)
    window = try remote.dma == .window ? DMAWindow(of: remote.shape) : nil
    setup = Mutex(
      Setup(
        interrupts: VfioUserInterrupts(
          line: wiring.line,
          msix: registers.msix,
          msi: registers.msi,
          hasPin: remote.shape.hasPin
        ),
        owesReset: remote.takesOver
      )
    )
  }

  /// Whether it is the function that `maker` has made.
  public func isMade(by maker: any RemoteFunctionMaker) -> Bool {
    (maker as? VfioUserRemote) === remote
  }

  /// The registers that are kept here.
  public var configuration: PCIConfigurationSpace { registers.configuration }
  /// The MSI-X table, which is kept here.
  public var msix: MSIX? { registers.msix }
  /// MSI, whose registers are kept here.
  public var msi: MSI? { registers.msi }

  /// Signalled at ends of interrupts that the server has to be told of.
  var ends: EventFD? { signalledEnds.withLock { $0 } }

  private var isPresent: Bool {
    presence.load(ordering: .acquiring) == Presence.present.rawValue
  }
  private var isGone: Bool { presence.load(ordering: .acquiring) == Presence.gone.rawValue }

  // MARK: Configuration

  /// Reads a register, here or at the server.
  public func readConfiguration(_ offset: Int, width: Int) -> UInt32 {
    let all = UInt32.max >> UInt32(32 - 8 * width)
    guard !isGone else { return all }
    let kept = registers.keptBits(offset, width: width)
    let own = configuration.read(offset, width: width)
    guard kept != all else { return own }
    let servers = ask(otherwise: UInt64(all)) { connection throws(VfioUserError) in
      Self.value(
        try connection.readRegion(
          VfioUserRegion.configuration,
          offset: UInt64(offset),
          count: width
        )
      )
    }
    return UInt32(truncatingIfNeeded: servers) & ~kept | own & kept
  }

  /// Writes a register here, and tells the server.
  public func writeConfiguration(_ value: UInt32, _ offset: Int, width: Int) {
    guard !isGone else { return }
    let before = (command: configuration.command, choice: registers.choice)
    configuration.write(value, offset, width: width)
    if registers.isServers(offset) {
      _ = ask(otherwise: 0) { connection throws(VfioUserError) in
        try connection.writeRegion(
          VfioUserRegion.configuration,
          offset: UInt64(offset),
          Self.bytes(UInt64(value), width)
        )
        return 0
      }
    }
    // What was asked of one that died is asked again of the next.
    let command = configuration.command
    if command.contains(.memorySpace) {
      // The guest has set up what another server serves now.
      _ = presence.compareExchange(
        expected: Presence.returned.rawValue,
        desired: Presence.present.rawValue,
        ordering: .acquiringAndReleasing
      )
    }
    if command.contains(.interruptDisable), !before.command.contains(.interruptDisable) {
      releasePin()
    }
    if registers.choice != before.choice { chooseInterrupts() }
  }

  /// Lowers the line of a pin that the guest has disabled (PCI 3.0, 6.2.2).
  private func releasePin() {
    setup.withLock { setup in
      do {
        try setup.interrupts.release()
      } catch {
        log.error("the interrupt pin: \(error)")
      }
    }
  }

  /// Has the server interrupt in the way that the guest has chosen.
  func chooseInterrupts() {
    setup.withLock { setup in
      guard let connection = setup.connection else { return }
      do throws(VfioUserError) {
        // Of two vCPUs that switch at once, the last to come finds what is so.
        let choice = registers.choice
        try setup.interrupts.choose(
          choice,
          connection,
          connection.deadline
        )
        noteEnds(setup)
      } catch {
        report(error)
      }
    }
  }

  /// Has the reader wait for what it has to tell.
  func noteEnds(_ setup: borrowing Setup) {
    let ends = setup.interrupts.ends
    signalledEnds.withLock { $0 = ends }
    // It looks anew before it waits.
    remote.wake()
  }

  // MARK: BARs

  /// Reads from the server; ones if there is none.
  public func readBAR(_ access: BusAccess) -> UInt64 {
    let all = UInt64.max >> UInt64(64 - 8 * access.width)
    guard isPresent, isInside(access) else { return all }
    let value = ask(otherwise: all) { connection throws(VfioUserError) in
      Self.value(
        try connection.readRegion(
          UInt32(access.region),
          offset: access.offset,
          count: access.width
        )
      )
    }
    window?.didRead(value, access)
    return value
  }

  /// Writes to the server; waits for it only where another may have to do it, since it died, where it is to have done
  /// with memory, and where the guest listens to the pin: what it writes may lower that, and has to before the end of the
  /// interrupt, which goes another way.
  public func writeBAR(_ value: UInt64, _ access: BusAccess) {
    guard isPresent, isInside(access) else { return }
    let isWaitedFor = remote.takesOver || window != nil || isPinUsed
    if let window, let memory = memory.withLock({ $0 }) {
      window.willWrite(value, access, in: memory)
    }
    defer { window?.didWrite(value, access) }
    _ = ask(otherwise: 0) { connection throws(VfioUserError) in
      if isWaitedFor {
        try connection.writeRegion(
          UInt32(access.region),
          offset: access.offset,
          Self.bytes(value, access.width)
        )
        return 0
      }
      try connection.postRegion(
        UInt32(access.region),
        offset: access.offset,
        Self.bytes(value, access.width)
      )
      return 0
    }
  }

  /// Whether an interrupt may come through the pin.
  private var isPinUsed: Bool {
    shape.hasPin && registers.choice == .pin
      && !configuration.command.contains(.interruptDisable)
  }

  /// Lets doorbells and memory follow.
  public func barDidMove(_ bar: Int, to address: UInt64?) {
    doorbells.move(bar, to: address)
    areas.move(bar, to: address)
  }

  /// Whether the server has all of what is accessed: a BAR may be longer than its region.
  private func isInside(_ access: BusAccess) -> Bool {
    guard let size = shape.sizes[access.region] else { return false }
    return UInt64(access.width) <= size && access.offset <= size - UInt64(access.width)
  }

  /// Asks the server; `otherwise` if it does not answer.
  private func ask(
    otherwise: UInt64,
    _ body: (VfioUserLink) throws(VfioUserError) -> UInt64
  ) -> UInt64 {
    var last: VfioUserLink?
    // Each server that ends is another's turn; there are only so many.
    while let connection = remote.connection(after: last) {
      do throws(VfioUserError) {
        return try body(connection)
      } catch {
        report(error)
        if case .refused = error { return otherwise }
        guard remote.takesOver else { return otherwise }
        last = connection
      }
    }
    return otherwise
  }

  /// Says that the server refuses something; an end is said once, by who reads.
  func report(_ error: VfioUserError) {
    if case .refused = error { log.warning("server: \(error)") }
  }

  private static func value(_ bytes: [UInt8]) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func bytes(_ value: UInt64, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }

  // MARK: Reset and end

  /// Has the server reset the device; the guest finds it as at power-on.
  public func reset() {
    setup.withLock { setup in
      guard let connection = setup.connection else {
        setup.owesReset = true
        return
      }
      do throws(VfioUserError) {
        let deadline = connection.deadline
        try setup.interrupts.leave(connection, deadline)
        // The server's copy of what the bus resets here.
        try connection.writeRegion(
          VfioUserRegion.configuration,
          offset: 4,
          [0, 0],
          deadline
        )
        if shape.canReset { try connection.tell(.reset, deadline: deadline) }
        try setup.interrupts.choose(.pin, connection, deadline)
        noteEnds(setup)
        presence.store(Presence.present.rawValue, ordering: .releasing)
      } catch {
        report(error)
        setup.owesReset = true
      }
    }
    window?.reset()
  }

  /// Takes memory and interrupts away from the server.
  public func stop() {
    remote.detach(self)
    setup.withLock { setup in
      doorbells.set([])
      areas.set([])
      if let connection = setup.connection {
        do throws(VfioUserError) {
          let deadline = connection.deadline
          try setup.interrupts.leave(connection, deadline)
          if shape.canReset { try connection.tell(.reset, deadline: deadline) }
          for region in memory.withLock({ $0?.regions ?? [] }) {
            let unmap = VfioUserDMAUnmap(address: region.start.rawValue, size: region.count)
            _ = try connection.ask(.unmapDMA(unmap), deadline: deadline)
          }
        } catch {
          // Whoever keeps what it was given is not to be spoken to again.
          connection.end(error)
        }
      }
      setup.connection = nil
      setup.isStopped = true
      setup.interrupts.forget()
      noteEnds(setup)
    }
    presence.store(Presence.gone.rawValue, ordering: .releasing)
    memory.withLock { $0 = nil }
  }
}
