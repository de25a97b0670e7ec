import DeviceModel
import PCI
import RemoteDevice

/// A PCI function of another process, in a machine that is only described: nobody is connected to, and what
/// the function is, is the other process's to say.
final class DetachedFunction: RemotePCIFunction {
  /// Makes one.
  struct Maker: RemoteFunctionMaker {
    let name: String

    init(_ remote: MachineConfiguration.Remote, _ index: Int) {
      name = "\(RemoteLink.name(index)) (\(remote.text.dropFirst("--device ".count)))"
    }

    func makeFunction(_ wiring: RemoteWiring) -> any RemotePCIFunction {
      DetachedFunction(name)
    }
  }

  let name: String
  let configuration: PCIConfigurationSpace

  private init(_ name: String) {
    self.name = name
    configuration = PCIConfigurationSpace(
      PCIIdentity(vendorID: .max, deviceID: .max, classCode: 0xFFFFFF)
    )
    configuration.define(0x3D, width: 1, 1)
  }

  func readBAR(_ access: BusAccess) -> UInt64 { .max }
  func writeBAR(_ value: UInt64, _ access: BusAccess) {}
  func reset() {}
  func stop() {}
}
