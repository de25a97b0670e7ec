import Glibc
import HostOS
import PCI

/// Saving the device, and restoring it (VFIO's migration in its second form).
extension VfioUserSession {
  private typealias Feature = VfioUserFeature

  /// Probes, reads or sets a property.
  func handle(_ feature: VfioUserFeature) throws(VfioUserFailure) -> Answer {
    let all = Feature.getFlag | Feature.setFlag | Feature.probeFlag
    let action = feature.flags & all
    guard feature.flags & ~(all | 0xFFFF) == 0, Int(feature.argumentSize) >= Feature.count,
      action != 0, action != Feature.getFlag | Feature.setFlag
    else {
      throw .refusal(
        EINVAL,
        "DEVICE_FEATURE: flags 0x\(String(feature.flags, radix: 16)), argsz \(feature.argumentSize)"
      )
    }
    guard function.canBeSaved,
      feature.number == Feature.migration || feature.number == Feature.migrationState,
      action & Feature.setFlag == 0 || feature.number == Feature.migrationState
    else {
      // As VFIO does for a feature that a device does not have.
      throw .refusal(ENOTTY, "DEVICE_FEATURE: feature \(feature.number) is not offered that way")
    }
    if action & Feature.probeFlag != 0 {
      return Answer(reply: .feature(Feature(argumentSize: 8, flags: feature.flags)))
    }
    if action == Feature.setFlag { return try setState(feature) }
    guard Int(feature.argumentSize) >= Feature.count + Feature.dataCount else {
      throw .refusal(EINVAL, "DEVICE_FEATURE: argsz \(feature.argumentSize)")
    }
    if feature.number == Feature.migrationState {
      return Answer(reply: .feature(Feature(migration.state, flags: Feature.getFlag)))
    }
    var bytes = NativeBytes()
    bytes.append(Feature.stopCopyFlag)
    return Answer(
      reply: .feature(
        Feature(
          argumentSize: UInt32(Feature.count + Feature.dataCount),
          flags: feature.flags,
          data: bytes.array
        )
      )
    )
  }

  private func setState(_ feature: VfioUserFeature) throws(VfioUserFailure) -> Answer {
    guard feature.data.count == Feature.dataCount else {
      throw .badValue(.feature, "\(feature.data.count) bytes for a state of the device")
    }
    let number: UInt32 = NativeBytes(feature.data).word(at: 0)
    let target = VfioUserMigrationState(rawValue: number)
    while migration.state != target {
      guard let target, let next = migration.state.step(towards: target) else {
        throw .refusal(
          EINVAL,
          "DEVICE_FEATURE: from \(migration.state) to \(target.map { "\($0)" } ?? "state \(number)")"
        )
      }
      try enter(next)
    }
    return Answer(reply: .feature(feature))
  }

  /// Goes one step.
  private func enter(_ next: VfioUserMigrationState) throws(VfioUserFailure) {
    switch (migration.state, next) {
    case (.running, _): function.pause()
    case (_, .running): function.resume()
    case (.stop, .stopCopy): migration.outgoing = try savedState()[...]
    case (.stop, .resuming): function.reset()
    case (.resuming, _): try restore()
    default: break
    }
    migration.state = next
    if next != .stopCopy { migration.outgoing = [] }
    migration.incoming = []
  }

  private func savedState() throws(VfioUserFailure) -> [UInt8] {
    let state: [UInt8]
    do throws(PCIStateError) {
      state = try function.saveState()
    } catch {
      throw .refusal(EIO, "DEVICE_FEATURE: the device cannot be saved: \(error)")
    }
    guard state.count <= VfioUserMigration.sizeLimit else {
      throw .refusal(
        EFBIG,
        "DEVICE_FEATURE: a state of \(state.count) bytes, more than \(VfioUserMigration.sizeLimit)"
      )
    }
    return state
  }

  /// Puts what was written into the device; one that does not take it has to be reset.
  private func restore() throws(VfioUserFailure) {
    let state = migration.incoming
    do throws(PCIStateError) {
      try function.restoreState(state)
    } catch {
      migration = VfioUserMigration(state: .error)
      throw .refusal(EINVAL, "DEVICE_FEATURE: \(state.count) bytes of state: \(error)")
    }
  }

  /// The device was reset, which has it run.
  func endMigration() {
    guard migration.state != .running else { return }
    migration = VfioUserMigration()
    function.resume()
  }

  // MARK: Data

  /// Hands out the next piece of the device's state; a short one is the last.
  func readMigrationData(
    _ question: VfioUserMigrationData
  ) throws(VfioUserFailure) -> Answer {
    guard migration.state == .stopCopy else {
      throw .refusal(EINVAL, "MIG_DATA_READ: while in \(migration.state)")
    }
    guard
      UInt64(question.argumentSize) >= UInt64(VfioUserMigrationData.count) + UInt64(question.size)
    else {
      throw .refusal(
        EINVAL,
        "MIG_DATA_READ: \(question.size) bytes with argsz \(question.argumentSize)"
      )
    }
    let part = Array(migration.outgoing.prefix(Int(question.size)))
    migration.outgoing = migration.outgoing.dropFirst(part.count)
    return Answer(reply: .migrationData(VfioUserMigrationData(part)))
  }

  /// Takes the next piece of a state.
  func writeMigrationData(_ part: VfioUserMigrationData) throws(VfioUserFailure) -> Answer {
    guard migration.state == .resuming else {
      throw .refusal(EINVAL, "MIG_DATA_WRITE: while in \(migration.state)")
    }
    guard migration.incoming.count + part.data.count <= VfioUserMigration.sizeLimit else {
      throw .refusal(
        EFBIG,
        "MIG_DATA_WRITE: more than \(VfioUserMigration.sizeLimit) bytes of state"
      )
    }
    migration.incoming += part.data
    return Answer(reply: .done)
  }
}
