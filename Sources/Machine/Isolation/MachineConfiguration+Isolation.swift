extension MachineConfiguration {
  /// Which devices have processes of their own.
  public enum Isolation: String, Sendable, CaseIterable {
    /// None: all are in this process.
    case none
    /// All but the serial port; with registers in memory, consoles and the balloon stay, too.
    case devices
  }
}
