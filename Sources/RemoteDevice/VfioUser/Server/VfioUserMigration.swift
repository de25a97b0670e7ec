/// How far a client is with saving or restoring a device.
///
/// Owned by the session.
struct VfioUserMigration {
  /// The longest state, in bytes, that goes either way.
  static var sizeLimit: Int { 64 << 20 }

  /// What the device does.
  var state = VfioUserMigrationState.running
  /// What the client has not read yet of the device's state.
  var outgoing: ArraySlice<UInt8> = []
  /// What the client has written of one.
  var incoming: [UInt8] = []
}
