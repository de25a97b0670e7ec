import PCI
import Platform

/// The state of the platform's devices, and of KVM's clock.
struct PlatformState: Equatable, Sendable {
  /// The paravirtual clock in nanoseconds, if KVM has one.
  var clock: UInt64?
  var powerManagement = ACPIPowerManagement.SavedState()
  /// The first serial port, if there is one.
  var serial: SerialState?
  var realTimeClock = CMOSState()
  var keyboard = KeyboardController.SavedState()
  var resetRegister: UInt8 = 0
  var configurationAddress: UInt32 = 0
  /// The test device, if there is one.
  var test: TestDevice.SavedState?
  /// The selected item of the firmware's configuration, and the position in it.
  var firmwareItem: UInt16 = 0
  var firmwarePosition: UInt32 = 0

  init() {}

  /// Takes the state of a board's devices.
  init(_ board: Board) {
    powerManagement = board.powerManagement.savedState
    serial = board.serial?.savedState
    let devices = board.platform
    if let state = devices.realTimeClock?.savedState { realTimeClock = state }
    if let state = devices.keyboard?.savedState { keyboard = state }
    resetRegister = devices.resetRegister?.savedState ?? 0
    configurationAddress = devices.configurationPorts?.savedAddress ?? 0
    test = devices.test?.savedState
    if let state = devices.firmware?.savedState {
      (firmwareItem, firmwarePosition) = (state.item, state.position)
    }
  }

  /// Puts it into a board's devices; lines that were up are up then.
  func restore(to board: Board) {
    board.powerManagement.savedState = powerManagement
    if let serial { board.serial?.savedState = serial }
    let devices = board.platform
    devices.realTimeClock?.savedState = realTimeClock
    devices.keyboard?.savedState = keyboard
    devices.resetRegister?.savedState = resetRegister
    devices.configurationPorts?.savedAddress = configurationAddress
    if let test { devices.test?.savedState = test }
    devices.firmware?.savedState = (firmwareItem, firmwarePosition)
  }
}
