import Logging
import Synchronization

/// The root bus: finds functions by address, and lets their BARs follow what the guest configures.
///
/// Any thread may call. The lock guards the table of functions only; no function, address space or
/// line is called while it is held. Within one function the order is: pin, then configuration; table
/// of MSI-X, then configuration. No function's lock is held while another function is called.
public final class PCIRootBus: Sendable {
  private let space: any PCIAddressSpace
  private let slots = Mutex<[PCIAddress: PCISlot]>([:])
  private let refused = Atomic<Int>(0)
  private let logger = Logger(label: "apus.pci")

  /// Makes a bus with a host bridge at 00:00.0.
  public init(
    in space: any PCIAddressSpace,
    hostBridge: any PCIFunction = PCIHostBridge()
  ) {
    self.space = space
    let address = PCIAddress(device: 0)
    let slot = PCISlot(hostBridge, at: address, in: space, logger: logger)
    slots.withLock { $0[address] = slot }
  }

  /// How often a BAR was not decoded because something else was at the address the guest chose.
  public var refusedPlacements: Int { refused.load(ordering: .relaxed) }

  /// The functions, by ascending address.
  public var functions: [(address: PCIAddress, function: any PCIFunction)] {
    let all = slots.withLock { Array($0.values) }
    return all.sorted { $0.address < $1.address }.map { ($0.address, $0.function) }
  }

  /// The function at `address`, if there is one.
  public func function(at address: PCIAddress) -> (any PCIFunction)? {
    slot(at: address)?.function
  }

  /// Where the BARs of the function at `address` answer now, by BAR index.
  public func placements(at address: PCIAddress) -> [Int: UInt64] {
    slot(at: address)?.placements ?? [:]
  }

  /// Puts `function` on the bus at `address`.
  ///
  /// A device with several functions shows so in the header of its function 0 (PCI 3.0, 6.2.1).
  public func add(_ function: any PCIFunction, at address: PCIAddress) throws(PCIError) {
    let slot = PCISlot(function, at: address, in: space, logger: logger)
    let (existing, first) = slots.withLock { slots in
      let existing = slots[address]
      if existing == nil { slots[address] = slot }
      let mates = slots.values.filter {
        $0.address.bus == address.bus && $0.address.device == address.device
      }
      let isMultifunction = mates.contains { $0.address.function != 0 }
      return (existing, isMultifunction ? mates.first { $0.address.function == 0 } : nil)
    }
    if let existing {
      throw .addressInUse(address, existing: existing.function.name, new: function.name)
    }
    first?.function.configuration.isMultifunction = true
    count(slot.update())
  }

  /// Takes the function at `address` off the bus.
  ///
  /// - Returns: The function; its BARs answer nowhere, and its INTx pin is de-asserted.
  @discardableResult
  public func remove(at address: PCIAddress) throws(PCIError) -> any PCIFunction {
    guard let slot = slots.withLock({ $0.removeValue(forKey: address) }) else {
      throw .noFunction(address)
    }
    slot.remove()
    retryRefused()
    return slot.function
  }

  /// Resets every function, as at power-on: the BARs return to their first addresses, not decoded.
  public func reset() {
    for slot in slots.withLock({ Array($0.values) }) {
      slot.function.resetWhole()
      count(slot.update())
    }
  }

  /// Reads configuration registers; all ones where no function is (PCI 3.0, 6.1).
  ///
  /// - Parameters:
  ///   - address: Whose registers.
  ///   - offset: The first byte; those beyond 4095 read as ones.
  ///   - width: 1, 2, 4 or 8 bytes, aligned or not.
  /// - Returns: The registers, in the low `8 * width` bits.
  public func read(_ address: PCIAddress, _ offset: Int, width: Int) -> UInt64 {
    let ones = UInt64.max >> UInt64(64 - 8 * width)
    guard let slot = slot(at: address) else { return ones }
    return slot.function.readRegisters(offset, width: width)
  }

  /// Writes configuration registers; nothing happens where no function is.
  ///
  /// - Parameters:
  ///   - value: What the guest wrote, in the low `8 * width` bits.
  ///   - address: Whose registers.
  ///   - offset: The first byte; those beyond 4095 are dropped.
  ///   - width: 1, 2, 4 or 8 bytes, aligned or not.
  public func write(_ value: UInt64, _ address: PCIAddress, _ offset: Int, width: Int) {
    guard let slot = slot(at: address) else { return }
    slot.function.writeRegisters(value, offset, width: width)
    count(slot.update())
  }

  /// Lets BARs, pin and vectors of the function at `address` follow its configuration, which something else
  /// than the guest has changed.
  public func followConfiguration(at address: PCIAddress) {
    guard let slot = slot(at: address) else { return }
    count(slot.update())
  }

  private func slot(at address: PCIAddress) -> PCISlot? {
    slots.withLock { $0[address] }
  }

  private func count(_ outcome: (isFreed: Bool, refusals: Int)) {
    refused.wrappingAdd(outcome.refusals, ordering: .relaxed)
    if outcome.isFreed { retryRefused() }
  }

  /// Tries to place what was refused, after something moved out of the way.
  private func retryRefused() {
    for slot in slots.withLock({ Array($0.values) }) where slot.hasRefusal {
      _ = slot.update(isRetrying: true)
    }
  }
}
