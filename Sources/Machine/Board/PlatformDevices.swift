import PCI
import Platform

/// The platform devices of a board whose state is saved and put back, beside those that the board itself holds.
struct PlatformDevices {
  var realTimeClock: RealTimeClock?
  var keyboard: KeyboardController?
  var resetRegister: ResetRegister?
  var configurationPorts: PCIConfigurationPorts?
  var test: TestDevice?
  var firmware: FirmwareConfiguration?
}
