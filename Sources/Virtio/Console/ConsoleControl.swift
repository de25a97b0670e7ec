/// A control message of a console with several ports (virtio 1.2, 5.3.6.2).
struct ConsoleControl: Equatable {
  /// What it is about.
  enum Event: UInt16 {
    /// The driver is ready for ports.
    case deviceReady = 0
    /// There is a port.
    case add = 1
    /// There is a port no more.
    case remove = 2
    /// The driver is ready for this port.
    case portReady = 3
    /// The port is a terminal.
    case console = 4
    /// The terminal has a size.
    case resize = 5
    /// Somebody is at the sender's end of the port, or nobody.
    case open = 6
    /// The port has a name.
    case name = 7
  }

  /// The length in bytes, without what may follow.
  static var size: Int { 8 }

  var port: UInt32
  var event: UInt16
  var value: UInt16

  init(_ event: Event, port: Int, value: UInt16 = 1) {
    self.port = UInt32(truncatingIfNeeded: port)
    self.event = event.rawValue
    self.value = value
  }

  /// Takes a message off the front of `chain`; `nil` if it is cut short.
  init?(_ chain: inout DescriptorChain) {
    guard let port = chain.readWord(UInt32.self), let event = chain.readWord(UInt16.self),
      let value = chain.readWord(UInt16.self)
    else { return nil }
    self.port = port
    self.event = event
    self.value = value
  }

  /// The message as it lies in a buffer, little-endian.
  var bytes: [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: port >> (8 * $0)) }
      + [event, value].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
  }
}
