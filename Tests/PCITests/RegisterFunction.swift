import DeviceModel
import PCI
import Synchronization

/// A function whose BARs read back what was written, and that remembers what it was told.
final class RegisterFunction: PCIFunction {
  let name: String
  let configuration: PCIConfigurationSpace
  let interruptPin: PCIInterruptPin?
  let msix: MSIX?

  private struct State {
    var registers: [Int: [UInt64: UInt64]] = [:]
    var moves: [String] = []
    var resets = 0
  }

  private let state = Mutex(State())

  init(
    _ name: String = "device",
    bars: [PCIBAR] = [],
    line: (any InterruptLine)? = nil,
    vectors: Int = 0,
    messages: (any MessageInterruptAllocator)? = nil
  ) throws {
    self.name = name
    let configuration = PCIConfigurationSpace(
      PCIIdentity(vendorID: 0x1234, deviceID: 0x5678, classCode: 0x01_00_00),
      bars: bars
    )
    self.configuration = configuration
    interruptPin = line.map { PCIInterruptPin(to: $0, of: configuration) }
    msix = try messages.map {
      try MSIX(
        vectorCount: vectors,
        bar: 0,
        tableOffset: 0x1000,
        pendingOffset: 0x3000,
        in: configuration,
        from: $0
      )
    }
  }

  var moves: [String] { state.withLock { $0.moves } }
  var resets: Int { state.withLock { $0.resets } }

  func readBAR(_ access: BusAccess) -> UInt64 {
    state.withLock { $0.registers[access.region]?[access.offset] ?? 0 }
  }

  func writeBAR(_ value: UInt64, _ access: BusAccess) {
    state.withLock { $0.registers[access.region, default: [:]][access.offset] = value }
  }

  func barDidMove(_ bar: Int, to address: UInt64?) {
    let place = address.map { "0x" + String($0, radix: 16) } ?? "nowhere"
    state.withLock { $0.moves.append("\(bar) \(place)") }
  }

  func reset() { state.withLock { $0.resets += 1 } }
}
