import GuestMemory
import HostOS

/// Packets for the guest (virtio 1.2, 5.10.6).
extension VsockService {
  /// The most bytes of data in a packet.
  private static var packetLimit: UInt64 { 64 << 10 }

  /// Fills some of the buffers that the driver has made available.
  func receive(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      guard hasPackets else { return wait(queue) }
      guard try queue.pop(into: &chain) else { return .drained }
      guard chain.writableCount >= UInt64(VsockHeader.size) else {
        log.warning("a receive buffer of \(chain.writableCount) bytes, less than a header")
        queue.complete(chain, written: 0)
        continue
      }
      if let written = fill() {
        queue.complete(chain, written: UInt32(written))
      } else {
        queue.putBack()
      }
    }
    return .busy
  }

  /// Writes the next packet to the chain, and returns its length; `nil` if there turned out to be none.
  private func fill() -> Int? {
    if !replies.isEmpty {
      return chain.write(replies.removeFirst().bytes)
    }
    while let connection = line.popFirst() {
      guard connection.state != .closed else { continue }
      let written = fill(from: connection)
      advance(connection)
      if let written { return written }
    }
    return nil
  }

  /// Writes the next packet of a connection to the chain, and returns its length.
  private func fill(from connection: VsockConnection) -> Int? {
    let due = connection.due
    if due.contains(.request) { return write(.request, of: connection, instead: .request) }
    if due.contains(.response) { return write(.response, of: connection, instead: .response) }
    // Told of with the end of the data.
    if connection.isReadable, connection.maySend, connection.credit.available > 0 {
      return read(from: connection)
    }
    if due.contains(.shutdown) {
      return write(
        .shutdown,
        of: connection,
        flags: connection.hostShutdown.rawValue,
        instead: .shutdown
      )
    }
    if due.contains(.creditUpdate) { return write(.creditUpdate, of: connection, instead: []) }
    if due.contains(.creditRequest) {
      return write(.creditRequest, of: connection, instead: .creditRequest)
    }
    return nil
  }

  /// Reads what the program has straight into the chain.
  private func read(from connection: VsockConnection) -> Int? {
    let size = UInt64(VsockHeader.size)
    let place = chain.writingPlace
    vector.removeAll()
    chain.appendWritable(
      to: &vector,
      count: size + min(UInt64(connection.credit.available), Self.packetLimit)
    )
    guard vector.segmentCount <= GuestIOVector.messageSegmentLimit else {
      cut(connection, "a receive buffer in \(vector.segmentCount) pieces")
      return 0
    }
    // A buffer for a header only tells of nothing.
    guard vector.count > size else { return 0 }
    do throws(SystemError) {
      let number = connection.descriptor.rawValue
      guard let count = try vector.receive(from: number, at: size, overflow: &noOverflow) else {
        connection.isReadable = false
        chain.writingPlace = place
        return nil
      }
      guard count > 0 else {
        connection.isReadable = false
        chain.writingPlace = place
        shutDown(connection, connection.isHungUp ? .both : .send)
        return nil
      }
      connection.credit.send(count)
      if connection.credit.available == 0 { connection.due.insert(.creditRequest) }
      var header = self.header(.readWrite, of: connection)
      header.count = UInt32(count)
      // SAFETY: `UInt8` has no padding.
      unsafe vector.store(header.bytes.span.bytes, at: 0)
      return VsockHeader.size + count
    } catch {
      chain.writingPlace = place
      cut(connection)
      return nil
    }
  }

  private func write(
    _ operation: VsockHeader.Operation,
    of connection: VsockConnection,
    flags: UInt32 = 0,
    instead due: VsockConnection.Due
  ) -> Int {
    var header = self.header(operation, of: connection)
    header.flags = flags
    connection.due.subtract(due)
    return chain.write(header.bytes)
  }

  /// A header of a connection, which tells of its buffer too.
  private func header(
    _ operation: VsockHeader.Operation,
    of connection: VsockConnection
  ) -> VsockHeader {
    var header = VsockHeader()
    header.sourceCID = Self.hostCID
    header.targetCID = shared.guestCID
    header.sourcePort = connection.ports.host
    header.targetPort = connection.ports.guest
    header.operation = operation.rawValue
    connection.credit.report(in: &header)
    connection.due.remove(.creditUpdate)
    return header
  }

  /// Answers that there is no such connection.
  func reply(to ports: VsockPorts) {
    var header = VsockHeader()
    header.sourceCID = shared.guestCID
    header.targetCID = Self.hostCID
    header.sourcePort = ports.guest
    header.targetPort = ports.host
    reply(to: header)
  }

  /// Answers a packet of a connection that there is not.
  func reply(to packet: VsockHeader) {
    var header = VsockHeader()
    header.sourceCID = packet.targetCID
    header.targetCID = packet.sourceCID
    header.sourcePort = packet.targetPort
    header.targetPort = packet.sourcePort
    header.type = packet.type
    header.operation = VsockHeader.Operation.reset.rawValue
    replies.append(header)
  }
}
