import DeviceModel
import HostOS
import Logging
import PCI

/// What one proxy has said since it connected, and what follows from it.
///
/// Owned by the server's thread.
final class MPQEMUSession {
  // How many requests are handled before something else is looked at, such as a signal.
  private static var batch: Int { 64 }

  private var channel: MPQEMUChannel
  private let function: HostedFunction
  private let hub: IOHub
  private let logger: Logger
  private var memory: MPQEMUMemory
  private let wake: EventFD
  /// Which form of the protocol the proxy speaks; `nil` before its first message.
  private(set) var generation: MPQEMUGeneration?

  init(
    _ socket: consuming OwnedFileDescriptor,
    _ function: HostedFunction,
    _ hub: IOHub,
    waking wake: EventFD,
    logger: Logger
  ) {
    channel = MPQEMUChannel(socket)
    self.function = function
    self.hub = hub
    self.logger = logger
    memory = MPQEMUMemory(fault: wake)
    self.wake = wake
  }

  /// For polling.
  var socketNumber: Int32 { channel.rawValue }
  /// Whether a reply waits to be taken; until then no request is looked at.
  var isSending: Bool { channel.isSending }
  /// Since when the proxy has been in the middle of a message, or has not taken a reply.
  var waitsSince: UInt64? { channel.waitsSince }

  /// Checks that the proxy does not keep us waiting for longer than that.
  func checkPatience(_ patience: UInt64) throws(MPQEMUError) {
    guard let since = waitsSince, MonotonicClock.nanoseconds &- since >= patience else { return }
    let seconds = Int(patience / 1_000_000_000)
    if channel.isSending { throw .notReading(seconds: seconds) }
    throw .stalled(channel.partialCount, seconds: seconds)
  }

  /// Checks that the memory is all there.
  func checkMemory() throws(MPQEMUError) {
    if memory.ranges.isBroken { throw .memoryGone }
  }

  /// Handles requests that have come; where there may be more, the server is woken again.
  ///
  /// - Returns: Whether the connection goes on.
  /// - Throws: ``MPQEMUError`` for what the proxy is cut off for.
  func advance() throws(MPQEMUError) -> Bool {
    try channel.flush()
    for _ in 0..<Self.batch {
      if channel.isSending { return true }
      let incoming = try channel.receive()
      switch consume incoming {
      case .nothing: return true
      case .end: return false
      case .packet(let packet): try handle(packet)
      }
    }
    wake.signal()
    return true
  }

  /// Ends everything; nothing of the proxy's is used afterwards.
  func close() {
    hub.disconnect(0)
    function.release()
    memory.removeAll()
  }

  private func handle(_ packet: consuming MPQEMUPacket) throws(MPQEMUError) {
    let count = packet.descriptors.count
    let generation = generation ?? MPQEMUGeneration(first: packet.header, descriptors: count)
    if self.generation == nil {
      self.generation = generation
      logger.info("\(function.function.name): proxy connected, generation \(generation.rawValue)")
    }
    let message = try MPQEMUMessage(
      packet.header,
      packet.payload,
      descriptors: count,
      in: generation
    )
    switch message {
    case .syncMemory(let regions): try changeMemory(regions, &packet.descriptors)
    case .setInterrupt: try setInterrupt(&packet.descriptors)
    case .readConfiguration(let access): try reply(read(access))
    case .writeConfiguration(let access): try reply(write(access))
    case .readBAR(let access): try reply(read(access))
    case .writeBAR(let access): try reply(write(access))
    case .reset:
      function.reset()
      try reply(nil)
    case .ping: try reply(0)
    case .reply: throw .unexpected(.reply)
    }
  }

  private func reply(_ value: UInt64?) throws(MPQEMUError) {
    try channel.send(MPQEMUMessage.reply(value).bytes(in: generation ?? .current))
  }

  private func changeMemory(
    _ regions: [MPQEMURegion],
    _ descriptors: inout DescriptorBatch
  ) throws(MPQEMUError) {
    guard let changed = try memory.changed(to: regions, &descriptors) else { return }
    function.use(changed.ranges)
    memory = changed
  }

  private func setInterrupt(_ descriptors: inout DescriptorBatch) throws(MPQEMUError) {
    let trigger = try event(&descriptors, as: .trigger)
    let resample = try event(&descriptors, as: .resample)
    do throws(SystemError) {
      try hub.connect(0, trigger: trigger, resample: resample)
    } catch {
      throw .host(error)
    }
  }

  private func event(
    _ descriptors: inout DescriptorBatch,
    as use: ReceivedEventFD.Use
  ) throws(MPQEMUError) -> EventFD {
    guard let descriptor = descriptors.takeFirst() else {
      throw .wrongDescriptorCount(.setInterrupt, 0, expected: 2...2)
    }
    let kind: DescriptorKind
    let event: EventFD?
    do throws(SystemError) {
      kind = try DescriptorKind(of: descriptor.rawValue)
      event = try ReceivedEventFD.adopt(descriptor, as: use)
    } catch {
      throw .host(error)
    }
    guard let event else { throw .wrongDescriptor(.setInterrupt, kind, expected: "an eventfd") }
    return event
  }

  // MARK: Accesses

  // The answer to what cannot be done.
  private static var failure: UInt64 { .max }
  // A conventional function's registers end here, as those of QEMU's proxy do.
  private static var configurationCount: Int64 { 256 }

  /// Guests reach all of these through their VMM, so that nothing of it is worth the connection.
  private func isInside(_ access: MPQEMUConfigurationAccess) -> Bool {
    Int64(access.address) + Int64(access.width) <= Self.configurationCount
  }

  private func read(_ access: MPQEMUConfigurationAccess) -> UInt64 {
    guard isInside(access) else { return Self.failure }
    return function.readConfiguration(Int(access.address), width: Int(access.width))
  }

  private func write(_ access: MPQEMUConfigurationAccess) -> UInt64 {
    guard isInside(access) else { return Self.failure }
    function.writeConfiguration(
      UInt64(access.value),
      Int(access.address),
      width: Int(access.width)
    )
    return 0
  }

  private func place(_ access: MPQEMUBARAccess) -> BusAccess? {
    guard [1, 2, 4, 8].contains(access.width) else { return nil }
    return function.access(
      at: access.address,
      width: Int(access.width),
      in: access.isMemory ? .memory : .port
    )
  }

  private func read(_ access: MPQEMUBARAccess) -> UInt64 {
    guard let place = place(access) else { return Self.failure }
    return function.read(place)
  }

  private func write(_ access: MPQEMUBARAccess) -> UInt64 {
    guard let place = place(access) else { return Self.failure }
    // The bits above the width are whatever the sender had there.
    let value = access.value & (.max >> UInt64(64 - 8 * place.width))
    // A status register of 0 is a reset, for which the device's threads are waited for.
    function.write(value, place)
    return 0
  }
}
