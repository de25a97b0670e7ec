import HostOS

/// Saving the server's device, and restoring it (VFIO's migration in its second form).
extension VfioUserLink {
  /// The longest state, in bytes.
  private static var stateLimit: Int { VfioUserMigration.sizeLimit }
  /// How long all of a state may take to be read or written, or the device to come to a stand, in nanoseconds: it ends what
  /// it has taken first, which a slow disk may hold up for longer than any register.
  private static var statePatience: UInt64 { 30_000_000_000 }

  /// Whether the server's device can be saved and restored.
  ///
  /// - Throws: ``VfioUserError``; the connection has ended.
  func offersMigration() throws(VfioUserError) -> Bool {
    let answer: VfioUserAnswer
    do throws(VfioUserError) {
      answer = try ask(.feature(.question(VfioUserFeature.migration)))
    } catch {
      if case .refused = error { return false }
      throw error
    }
    guard case .feature(let feature) = answer.reply, feature.number == VfioUserFeature.migration,
      feature.data.count == VfioUserFeature.dataCount
    else { throw end(.badValue(.feature, "not how the device can be saved")) }
    let flags: UInt64 = NativeBytes(feature.data).word(at: 0)
    return flags & VfioUserFeature.stopCopyFlag != 0
  }

  /// Brings the device into a state.
  ///
  /// - Throws: ``VfioUserError``: `refused` if the server says no; anything else has ended the connection.
  func change(to state: VfioUserMigrationState) throws(VfioUserError) {
    let request = VfioUserFeature(state, flags: VfioUserFeature.setFlag)
    let last = MonotonicClock.nanoseconds &+ Self.statePatience
    let answer = try ask(.feature(request), deadline: max(deadline, last))
    guard case .feature(let feature) = answer.reply, feature.number == request.number else {
      throw end(.badValue(.feature, "not the state \(state)"))
    }
  }

  /// Reads the state of a device that stands still, which stands still afterwards.
  ///
  /// - Throws: As ``change(to:)``.
  func readState() throws(VfioUserError) -> [UInt8] {
    try change(to: .stopCopy)
    let last = MonotonicClock.nanoseconds &+ Self.statePatience
    let step = dataLimit
    var state: [UInt8] = []
    var isWhole = false
    while !isWhole {
      let answer = try ask(.readMigrationData(.question(step)), deadline: min(deadline, last))
      guard case .migrationData(let part) = answer.reply, part.data.count <= step else {
        throw end(.badValue(.readMigrationData, "more than the \(step) bytes that were asked for"))
      }
      state += part.data
      guard state.count <= Self.stateLimit else {
        throw end(.flood("bytes of state, more than \(Self.stateLimit)"))
      }
      isWhole = part.data.count < step
    }
    try change(to: .stop)
    return state
  }

  /// Has the device, which stands still afterwards, go on from a state.
  ///
  /// - Throws: As ``change(to:)``.
  func writeState(_ state: [UInt8]) throws(VfioUserError) {
    try change(to: .resuming)
    let last = MonotonicClock.nanoseconds &+ Self.statePatience
    var rest = state[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(dataLimit))
      rest = rest.dropFirst(part.count)
      let piece = VfioUserMigrationData(part)
      try tell(.writeMigrationData(piece), deadline: min(deadline, last))
    }
    try change(to: .stop)
  }
}
