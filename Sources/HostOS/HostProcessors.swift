import CLinux

/// The processors of the host.
public enum HostProcessors {
  /// How many this process may run on, at least 1.
  public static var count: Int { max(1, Int(apus_cpu_count())) }
}
