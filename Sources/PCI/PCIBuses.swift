public import DeviceModel
import Synchronization

/// The machine's memory and port buses, as the place that BARs are decoded in.
public final class PCIBuses: PCIAddressSpace {
  private let memory: Bus
  private let ports: Bus
  private let reserved: [Range<UInt64>]
  private let tickets = Mutex<[ObjectIdentifier: BusRegistration]>([:])

  /// Decodes BARs on `memory` and `ports`.
  ///
  /// - Parameters:
  ///   - memory: The bus of guest-physical addresses.
  ///   - ports: The bus of I/O ports.
  ///   - reserved: Guest-physical addresses that are not on the bus and yet not free: RAM, and what
  ///     the kernel answers by itself.
  public init(memory: Bus, ports: Bus, reserved: [Range<UInt64>] = []) {
    self.memory = memory
    self.ports = ports
    self.reserved = reserved
  }

  /// Registers `window` at `address`.
  public func map(_ window: PCIBARWindow, at address: UInt64) throws {
    try check(window, address)
    let ticket = try bus(of: window).register(
      window,
      name: window.description,
      at: [BusRange(address, size: window.bar.size)]
    )
    tickets.withLock { $0[ObjectIdentifier(window)] = ticket }
  }

  /// Moves the registered `window`.
  public func move(_ window: PCIBARWindow, to address: UInt64) throws {
    try check(window, address)
    guard let ticket = tickets.withLock({ $0[ObjectIdentifier(window)] }) else {
      preconditionFailure("\(window) is moved before it is mapped")
    }
    try bus(of: window).move(ticket, to: address)
  }

  /// Removes `window`; from outside an access, at return no access is in it any more.
  public func unmap(_ window: PCIBARWindow) {
    guard let ticket = tickets.withLock({ $0.removeValue(forKey: ObjectIdentifier(window)) }) else {
      return
    }
    bus(of: window).remove(ticket)
  }

  private func bus(of window: PCIBARWindow) -> Bus {
    window.bar.space == .port ? ports : memory
  }

  private func check(_ window: PCIBARWindow, _ address: UInt64) throws(PCIError) {
    guard window.bar.space == .memory else { return }
    let range = address..<address + window.bar.size
    guard let taken = reserved.first(where: { $0.overlaps(range) }) else { return }
    throw .reserved(owner: window.description, wanted: range, taken: taken)
  }
}
