import DeviceModel
import Glibc
import HostOS
import Virtio

/// What one client has said since it connected, and what follows from it.
///
/// Owned by the server's thread.
final class VfioUserSession {
  /// A reply, and descriptors that go with it, which stay open until it was sent.
  struct Answer {
    var reply: VfioUserReply
    var descriptors: [Int32] = []
  }

  /// The most data that one message may carry, in bytes.
  static var dataLimit: Int { 1 << 20 }

  /// The most descriptors that a client is told to send with one message; QEMU 11.1 takes no more for an answer.
  static var descriptorLimit: UInt64 { 16 }

  /// The most writes of one message; no client has so many to post.
  static var writeLimit: Int { 4096 }

  // How many requests are handled before something else is looked at, such as a signal.
  private static var batch: Int { 64 }

  let connection: VfioUserConnection
  let function: HostedFunction
  let hub: IOHub
  /// For what a client can cause.
  private let log: LimitedLog

  /// The ranges of memory that the client has mapped.
  var memory: HostedMemory
  /// What the client can do; `nil` before its greeting.
  private(set) var capabilities: VfioUserCapabilities?
  /// How far the client is with saving or restoring the device.
  var migration = VfioUserMigration()
  /// What the pin signals, for a client that asks for a trial.
  var pinTrigger: EventFD?
  private var twin: OwnedFileDescriptor?
  private let wake: EventFD

  init(
    _ connection: VfioUserConnection,
    _ function: HostedFunction,
    _ hub: IOHub,
    waking wake: EventFD,
    log: LimitedLog
  ) {
    self.connection = connection
    self.function = function
    self.hub = hub
    self.log = log
    self.wake = wake
    memory = HostedMemory(fault: wake)
  }

  /// Handles requests that have come; where there may be more, the server is woken again.
  ///
  /// - Returns: Whether the connection goes on.
  /// - Throws: ``VfioUserError`` for what the client is cut off for.
  func advance() throws(VfioUserError) -> Bool {
    for _ in 0..<Self.batch {
      switch try connection.next() {
      case .nothing: return true
      case .end: return false
      case .packet(let packet): try handle(packet)
      }
    }
    wake.signal()
    return true
  }

  /// Looks at what other threads have found.
  func wakeUp() throws(VfioUserError) {
    guard !memory.isBroken else {
      throw .badValue(.mapDMA, "a memory file was cut short while it was in use")
    }
    if let failure = connection.failure { throw failure }
  }

  /// Checks that the client does not keep us waiting for longer than that, in nanoseconds.
  func checkPatience(_ patience: UInt64) throws(VfioUserError) {
    guard let since = connection.waitsSince,
      MonotonicClock.nanoseconds &- since >= patience
    else { return }
    let seconds = Int(patience / 1_000_000_000)
    if connection.isSending { throw .notReading(seconds: seconds) }
    throw .stalled(connection.partialCount, seconds: seconds)
  }

  /// Ends everything; nothing of the client's is used afterwards.
  func close() {
    hub.disconnect(0)
    pinTrigger = nil
    // What is kept stays as it is, however much is reset here.
    function.leaveState()
    function.release()
    memory.removeAll()
  }

  private func handle(_ packet: consuming VfioUserPacket) throws(VfioUserError) {
    let header = packet.header
    guard !header.isReply else {
      throw .unexpectedReply(command: header.command, id: header.id)
    }
    do throws(VfioUserFailure) {
      let request = try decode(packet)
      let answer = try perform(request, &packet.descriptors)
      guard header.wantsReply else { return }
      do throws(VfioUserError) {
        try connection.send(answer.reply.message(to: header), descriptors: answer.descriptors)
      } catch {
        throw .breach(error)
      }
      twin = nil
    } catch {
      switch error {
      case .breach(let error): throw error
      case .refusal(let code, let line):
        log.warning(line)
        guard header.wantsReply else { return }
        try connection.send(VfioUserHeader(failing: header, code).bytes)
      }
    }
  }

  private func decode(
    _ packet: borrowing VfioUserPacket
  ) throws(VfioUserFailure) -> VfioUserRequest {
    do throws(VfioUserError) {
      return try packet.request(fromServer: false, dataLimit: Self.dataLimit)
    } catch {
      // Newer clients may know more.
      if case .unknownCommand = error { throw .refusal(error.errorNumber, "\(error)") }
      throw .breach(error)
    }
  }

  // MARK: The greeting

  func greet(_ version: VfioUserVersion) throws(VfioUserFailure) -> Answer {
    guard capabilities == nil else { throw .badValue(.version, "a second greeting") }
    guard version.major == 0 else {
      throw .refusal(
        EINVAL,
        "VERSION: \(version.major).\(version.minor) is not spoken here, only 0.0"
      )
    }
    let theirs = version.capabilities
    guard theirs.dataLimit >= 8 else {
      throw .badValue(.version, "max_data_xfer_size \(theirs.dataLimit)")
    }
    capabilities = theirs
    connection.agree(
      ours: Self.dataLimit,
      theirs: min(Int(clamping: theirs.dataLimit), Self.dataLimit)
    )
    var ours = VfioUserCapabilities()
    ours.descriptorLimit = Self.descriptorLimit
    ours.dataLimit = UInt64(Self.dataLimit)
    ours.mapLimit = UInt64(HostedMemory.limit)
    ours.writesMultiple = true
    var answer = Answer(reply: .done)
    if theirs.hasTwinSocket, theirs.descriptorLimit > 0 {
      do throws(SystemError) {
        let far = try connection.makeTwin()
        answer.descriptors = [far.rawValue]
        twin = consume far
      } catch {
        throw .host(.version, error)
      }
      ours.hasTwinSocket = true
      ours.twinSocket = 0
    }
    answer.reply = .version(VfioUserVersion(ours))
    return answer
  }
}
