import Glibc
import HostOS

/// A terminal of a test's own: the program has the slave, the test types and reads on the master.
final class Terminal: Sendable {
  let master: Int32
  let slave: Int32

  /// Opens a new terminal that nobody controls.
  init() throws {
    master = try retrying("open") { open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) }
    // ioctl_tty(2): unlock the slave, and ask which it is.
    var number: Int32 = 0
    let code = ioctl(master, UInt(0x4004_5431), &number)
    guard code == 0, ioctl(master, UInt(0x8004_5430), &number) == 0 else {
      throw SystemError(call: "ioctl(TIOCGPTN)", code: errno)
    }
    let name = "/dev/pts/\(number)"
    slave = try retrying("open") { open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) }
  }

  deinit {
    close(slave)
    close(master)
  }

  /// The modes that raw mode changes, in a form to compare.
  var modes: [UInt32] {
    var settings = termios()
    tcgetattr(slave, &settings)
    return [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
  }

  /// Whether keys reach the program as they are typed.
  var isRaw: Bool { modes[3] & UInt32(ICANON | ECHO | ISIG) == 0 }
}
