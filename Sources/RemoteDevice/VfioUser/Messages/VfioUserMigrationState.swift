/// What a device does while it is saved or restored (`vfio_device_mig_state`), as far as there is one here.
///
/// Those states in which a device that runs is copied, or keeps from others' memory (P2P, PRE_COPY), are not offered.
enum VfioUserMigrationState: UInt32, Equatable, Sendable {
  /// It cannot go on: a reset has it run again.
  case error = 0
  /// It stands still, and touches no memory.
  case stop = 1
  case running = 2
  /// It stands still, and its state can be read.
  case stopCopy = 3
  /// It stands still, and its state can be written.
  case resuming = 4

  /// The next state on the way to `target`, from which it is another one; `nil` if no way leads there.
  ///
  /// From each state to each other it goes by way of ``stop``.
  func step(towards target: Self) -> Self? {
    switch (self, target) {
    case (.error, _), (_, .error): nil
    case (.stop, _): target
    case (.running, _), (.stopCopy, _), (.resuming, _): .stop
    }
  }
}

extension VfioUserMigrationState: CustomStringConvertible {
  /// The name that VFIO gives it.
  var description: String {
    switch self {
    case .error: "ERROR"
    case .stop: "STOP"
    case .running: "RUNNING"
    case .stopCopy: "STOP_COPY"
    case .resuming: "RESUMING"
    }
  }
}
