import GuestMemory
import HostOS

/// The guest's packets (virtio 1.2, 5.10.6).
extension VsockService {
  /// The context of the host (5.10.4).
  static var hostCID: UInt64 { 2 }

  /// Takes some of the packets that the driver has made available.
  func transmit(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      // Each packet may need an answer, for which the guest has to have room some time.
      guard replies.count < Self.replyLimit else { return wait(queue) }
      guard try queue.pop(into: &chain) else { return .drained }
      let count = chain.readableCount
      if let header = VsockHeader(&chain) {
        take(header)
      } else {
        log.warning("a packet of \(count) bytes, which is less than a header: dropped")
      }
      queue.complete(chain, written: 0)
    }
    return .busy
  }

  /// Obeys a packet, whose data is the rest of the chain.
  private func take(_ header: VsockHeader) {
    guard header.sourceCID == shared.guestCID else {
      // 5.10.6.2: only packets of the guest's own are its.
      log.warning("a packet of CID \(header.sourceCID), not \(shared.guestCID): dropped")
      return
    }
    let operation = VsockHeader.Operation(rawValue: header.operation)
    guard header.targetCID == Self.hostCID, header.type == VsockHeader.Kind.stream,
      let operation
    else {
      // 5.10.6.4.1: what there is not is answered so; a reset never is.
      if operation != .reset { reply(to: header) }
      return
    }
    let ports = VsockPorts(host: header.targetPort, guest: header.sourcePort)
    guard let connection = connectionsByPorts[ports] else {
      switch operation {
      case .request: connect(ports, header)
      case .reset: break
      default: reply(to: header)
      }
      return
    }
    guard operation != .reset else {
      drain(connection)
      return
    }
    guard connection.credit.update(header) else {
      cut(connection, "\(header.forwarded) bytes forwarded, more than were sent")
      return
    }
    obey(operation, header, connection)
    advance(connection)
  }

  private func obey(
    _ operation: VsockHeader.Operation,
    _ header: VsockHeader,
    _ connection: VsockConnection
  ) {
    switch (operation, connection.state) {
    case (.response, .requested):
      connection.state = .open
      // What the program waits for; a socket that has been written nothing has room for it.
      let line = Array("OK \(connection.ports.host)\n".utf8)
      _ = try? FileIO.write(connection.descriptor.rawValue, line[...])
    case (.creditUpdate, _): break
    case (.creditRequest, _): connection.due.insert(.creditUpdate)
    case (.shutdown, .open): end(connection, VsockHeader.Shutdown(rawValue: header.flags & 3))
    case (.readWrite, .open): forward(header, connection)
    default: cut(connection, "operation \(header.operation) out of place")
    }
  }

  /// The guest connects to a port of the host.
  private func connect(_ ports: VsockPorts, _ header: VsockHeader) {
    guard connections.count + handshakes.count < Self.connectionLimit else {
      log.warning("port \(ports.guest) of the guest: more than \(Self.connectionLimit) connections")
      reply(to: header)
      return
    }
    let descriptor: OwnedFileDescriptor
    do throws(SystemError) {
      descriptor = try UnixSocket.connect(to: shared.sockets.path(of: ports.host))
    } catch {
      reply(to: header)
      return
    }
    let connection = add(ports, descriptor, .open)
    guard connection.state == .open, connection.credit.update(header) else { return }
    connection.due.insert(.response)
    advance(connection)
  }

  /// The guest will not send, or not receive, any more.
  private func end(_ connection: VsockConnection, _ what: VsockHeader.Shutdown) {
    connection.guestShutdown.formUnion(what)
    if what.contains(.receive) { connection.endInput() }
    guard !connection.hasOutput else { return }
    if connection.guestShutdown == .both {
      // 5.10.6.6: the answer to the end of both is a reset.
      cut(connection)
    } else if what.contains(.send) {
      connection.endOutput()
    }
  }

  /// Gives the program data of the guest.
  private func forward(_ header: VsockHeader, _ connection: VsockConnection) {
    guard UInt64(header.count) <= chain.readableCount else {
      cut(connection, "a packet of \(header.count) bytes with \(chain.readableCount)")
      return
    }
    guard !connection.guestShutdown.contains(.send) else {
      cut(connection, "\(header.count) bytes after its end")
      return
    }
    guard connection.credit.receive(header.count) else {
      cut(
        connection,
        "\(header.count) bytes, with \(connection.credit.pending) of \(VsockCredit.bufferSize) full"
      )
      return
    }
    guard header.count > 0 else { return }
    guard !connection.hostShutdown.contains(.receive) else {
      // It may not have heard of that yet.
      connection.credit.forward(Int(header.count))
      return
    }
    vector.removeAll()
    guard chain.appendReadable(to: &vector, count: UInt64(header.count)) == header.count else {
      cut(connection, "\(header.count) bytes that cannot be reached")
      return
    }
    // Without a copy, where the program keeps up.
    if !connection.hasOutput, vector.segmentCount <= GuestIOVector.messageSegmentLimit {
      do throws(SystemError) {
        let size = try vector.send(to: connection.descriptor.rawValue) ?? 0
        connection.credit.forward(size)
        vector.removeFirst(UInt64(size))
      } catch {
        connection.credit.forward(Int(header.count))
        connection.isHungUp = true
        shutDown(connection, .receive)
        return
      }
    }
    guard vector.count > 0 else { return }
    var bytes = [UInt8](repeating: 0, count: Int(vector.count))
    var span = bytes.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var raw = unsafe span.mutableBytes
    _ = vector.load(at: 0, into: &raw)
    connection.keep(bytes)
  }
}
