import HostOS
import Logging
public import PCI
import Synchronization

/// Saving the function with its server's device, and having another one go on as it.
extension VfioUserFunction: SavedPCIFunction {
  /// Has the server stop the device; one that comes in its place stops it, too.
  public func pause() {
    setup.withLock { setup in
      setup.isPaused = true
      guard let connection = setup.connection else { return }
      do throws(VfioUserError) {
        try connection.change(to: .stop)
      } catch {
        report(error)
      }
    }
  }

  /// What is kept here, and what the server hands out.
  public func saveState() throws(PCIStateError) -> [UInt8] {
    let state = try askServer { connection throws(VfioUserError) in try connection.readState() }
    return PCIFunctionState(self, device: state).bytes
  }

  /// Hands the server its part, and takes the rest.
  public func restoreState(_ state: [UInt8]) throws(PCIStateError) {
    let state = try PCIFunctionState(bytes: state)
    try state.check(self)
    setup.withLock { $0.isPaused = true }
    _ = try askServer { connection throws(VfioUserError) in
      try connection.writeState(state.device)
      return []
    }
    state.restoreRegisters(of: self)
    // A server may have its device's part alone in its state.
    _ = try askServer { connection throws(VfioUserError) in
      for offset in [0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x3C, 0x04] {
        let value = configuration.read(offset, width: 4)
        let width = offset == 0x04 ? 2 : 4
        try connection.writeRegion(
          VfioUserRegion.configuration,
          offset: UInt64(offset),
          (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        )
      }
      return []
    }
    chooseInterrupts()
  }

  /// Has the server go on.
  public func resume() {
    setup.withLock { setup in
      guard setup.isPaused else { return }
      setup.isPaused = false
      guard let connection = setup.connection else { return }
      do throws(VfioUserError) {
        try connection.change(to: .running)
      } catch {
        // A device that stands still for ever is none.
        if case .refused = error { connection.end(error) }
        report(error)
      }
    }
  }

  /// Signals all vectors: what was signalled before the state was saved may have reached nobody.
  public func signalRestart() { registers.signalVectors() }

  /// Asks the server, or who takes over from it.
  private func askServer(
    _ body: (VfioUserLink) throws(VfioUserError) -> [UInt8]
  ) throws(PCIStateError) -> [UInt8] {
    var last: VfioUserLink?
    while let connection = remote.connection(after: last) {
      do throws(VfioUserError) {
        return try body(connection)
      } catch {
        if case .refused = error { throw PCIStateError("the server does not do it: \(error)") }
        guard remote.takesOver else { throw PCIStateError("the server: \(error)") }
        last = connection
      }
    }
    throw PCIStateError("nobody serves it")
  }
}
