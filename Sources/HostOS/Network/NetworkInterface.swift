import CLinux
import Glibc

/// The network interfaces of the calling thread's network namespace, by name (netdevice(7)).
public enum NetworkInterface {
  /// Whether there is an interface with this name.
  public static func exists(_ name: String) -> Bool {
    var mtu: Int32 = 0
    // SAFETY: the result is a live local.
    return unsafe apus_interface_get_mtu(name, &mtu) == 0
  }

  /// The most bytes that a packet may have, without the Ethernet header.
  public static func mtu(of name: String) throws(SystemError) -> Int {
    var mtu: Int32 = 0
    _ = try retrying("ioctl(SIOCGIFMTU)", name) {
      // SAFETY: the result is a live local.
      unsafe apus_interface_get_mtu(name, &mtu)
    }
    return Int(mtu)
  }

  /// Sets the most bytes that a packet may have, without the Ethernet header.
  public static func setMTU(of name: String, to mtu: Int) throws(SystemError) {
    _ = try retrying("ioctl(SIOCSIFMTU)", name) {
      unsafe apus_interface_set_mtu(name, Int32(clamping: mtu))
    }
  }

  /// Whether the interface carries anything.
  public static func isUp(_ name: String) throws(SystemError) -> Bool {
    var isUp: Int32 = 0
    _ = try retrying("ioctl(SIOCGIFFLAGS)", name) {
      // SAFETY: the result is a live local.
      unsafe apus_interface_is_up(name, &isUp)
    }
    return isUp != 0
  }

  /// Has the interface carry what is sent.
  public static func setUp(_ name: String) throws(SystemError) {
    _ = try retrying("ioctl(SIOCSIFFLAGS)", name) { unsafe apus_interface_set_up(name) }
  }
}
