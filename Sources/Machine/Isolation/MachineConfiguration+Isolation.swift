extension MachineConfiguration {
  /// Which devices have processes of their own.
  public enum Isolation: String, Sendable, CaseIterable {
    /// None: all are in this process.
    case none
    /// Disks, network interfaces, sockets and the entropy source. Consoles and the balloon stay: the one is
    /// this process's terminal, the other gives back this process's memory.
    case devices
  }
}
