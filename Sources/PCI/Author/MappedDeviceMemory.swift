import DeviceModel
import GuestMemory

/// The guest's memory for a device in the same process.
final class MappedDeviceMemory: DeviceMemory {
  private let memory: GuestMemory
  private let configuration: PCIConfigurationSpace

  /// Reaches `memory` for as long as `configuration` makes its function a bus master.
  init(_ memory: GuestMemory, of configuration: PCIConfigurationSpace) {
    self.memory = memory
    self.configuration = configuration
  }

  func read(at address: GuestAddress, count: Int) throws(DMAError) -> [UInt8] {
    precondition(count >= 0, "a read of \(count) bytes")
    guard configuration.command.contains(.busMaster) else { throw .notBusMaster }
    do throws(GuestMemoryError) {
      return try memory.read(at: address, count: count)
    } catch {
      throw .notMapped(address: address.rawValue, count: count)
    }
  }

  func write(_ bytes: [UInt8], at address: GuestAddress) throws(DMAError) {
    guard configuration.command.contains(.busMaster) else { throw .notBusMaster }
    do throws(GuestMemoryError) {
      try memory.write(bytes, at: address)
    } catch {
      throw .notMapped(address: address.rawValue, count: bytes.count)
    }
  }
}
