import Glibc
import HostOS

/// One stream between a port of the guest and a unix socket.
///
/// Everything here happens on the device's thread.
final class VsockConnection {
  /// How far it has come.
  enum State {
    /// A program of the host wants it, and the guest has not answered.
    case requested
    /// Both sides agree.
    case open
    /// The guest knows no more of it; what it sent last is still on its way to the program.
    case draining
    /// It is over, and nobody has it any more.
    case closed
  }

  /// A packet that the guest is to get.
  struct Due: OptionSet {
    let rawValue: UInt8

    static var request: Self { Self(rawValue: 1) }
    static var response: Self { Self(rawValue: 2) }
    static var shutdown: Self { Self(rawValue: 4) }
    static var creditUpdate: Self { Self(rawValue: 8) }
    static var creditRequest: Self { Self(rawValue: 16) }
    /// Ends it: nothing comes after that.
    static var reset: Self { Self(rawValue: 32) }
  }

  let id: UInt64
  let ports: VsockPorts
  let descriptor: OwnedFileDescriptor
  var state: State
  var credit = VsockCredit()
  var due: Due = []
  /// What the guest will not do any more.
  var guestShutdown: VsockHeader.Shutdown = []
  /// What we will not do any more, as the guest is told.
  var hostShutdown: VsockHeader.Shutdown = []
  /// Whether the program may have more for the guest.
  var isReadable = false
  /// Whether the program is gone.
  var isHungUp = false
  /// Whether it is in the line of those that have packets for the guest.
  var isInLine = false
  /// What is waited for on the socket; `nil` if it is not waited for at all.
  var interest: Poller.Interest?

  // Bytes of the guest that the program has not taken.
  private var output: [UInt8] = []
  private var outputStart = 0

  init(
    id: UInt64,
    _ ports: VsockPorts,
    _ descriptor: consuming OwnedFileDescriptor,
    _ state: State
  ) {
    self.id = id
    self.ports = ports
    self.descriptor = descriptor
    self.state = state
  }

  /// Whether bytes of the program may go to the guest.
  var maySend: Bool {
    state == .open && !guestShutdown.contains(.receive) && !hostShutdown.contains(.send)
  }

  /// Whether there is a packet for the guest, or bytes that may become one.
  var hasPackets: Bool {
    !due.isEmpty || isReadable && maySend && credit.available > 0
  }

  /// What to wait for on the socket.
  var wantedInterest: Poller.Interest? {
    guard !isHungUp, state != .closed else { return nil }
    var interest: Poller.Interest = []
    if maySend, !isReadable, credit.available > 0 { interest.insert(.readable) }
    if hasOutput { interest.insert(.writable) }
    return interest
  }

  // MARK: To the program

  /// Whether bytes of the guest wait for the program.
  var hasOutput: Bool { outputStart < output.count }

  /// Keeps bytes for the program, of which it has room for as many as the guest has credit.
  func keep(_ bytes: [UInt8]) {
    if outputStart > output.count / 2 {
      output.removeSubrange(0..<outputStart)
      outputStart = 0
    }
    output += bytes
  }

  /// Gives the program what it takes.
  ///
  /// - Returns: False if it takes nothing any more.
  func flush() -> Bool {
    while hasOutput {
      guard let size = try? FileIO.write(descriptor.rawValue, output[outputStart...]) else {
        return false
      }
      guard size > 0 else { return true }
      outputStart += size
      credit.forward(size)
    }
    output.removeAll(keepingCapacity: false)
    outputStart = 0
    return true
  }

  /// Forgets what the program has not taken.
  func discardOutput() {
    credit.forward(output.count - outputStart)
    output = []
    outputStart = 0
  }

  /// Tells the program that nothing more will be taken of it.
  func endInput() { _ = shutdown(descriptor.rawValue, Int32(SHUT_RD)) }

  /// Tells the program that nothing more will come.
  func endOutput() { _ = shutdown(descriptor.rawValue, Int32(SHUT_WR)) }
}
