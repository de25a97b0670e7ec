/// How far the driver and the device have come about a port (virtio 1.2, 5.3.6.2).
struct ConsolePortState: Sendable {
  /// A control message that the guest is to get, in the order in which it gets them.
  struct Due: OptionSet, Sendable {
    let rawValue: UInt8

    static var add: Self { Self(rawValue: 1) }
    static var console: Self { Self(rawValue: 2) }
    static var resize: Self { Self(rawValue: 4) }
    static var name: Self { Self(rawValue: 8) }
    /// Nobody is at the host's end, or nobody was meanwhile.
    static var close: Self { Self(rawValue: 16) }
    static var open: Self { Self(rawValue: 32) }
    static var all: Self { [add, console, resize, name, close, open] }
  }

  var due: Due = []
  /// Whether the driver is ready for this port.
  var isReady = false
  /// Whether a program of the guest has the port open; a driver that knows one port always does.
  var isGuestOpen: Bool
}
