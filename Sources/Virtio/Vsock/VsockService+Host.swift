import Glibc
import HostOS

/// The host's side: unix sockets.
extension VsockService {
  /// Takes what the epoll has to tell.
  func lookAtSockets() {
    _ = try? poller.wait(timeout: 0) { event in
      switch event.token {
      case Token.wake:
        shared.wake.drain()
        if shared.takeReset() { dropAll() }
      case Token.listener: accept()
      default:
        if let handshake = handshakes[event.token] {
          advance(handshake)
        } else if let connection = connections[event.token] {
          notice(event, of: connection)
        }
      }
    }
  }

  /// Waits for programs that connect to the guest, if there is room for them.
  func listen() {
    let isWanted = connections.count + handshakes.count < Self.connectionLimit
    guard isWanted != isListening else { return }
    guard let number = shared.sockets.listener.borrow({ $0.rawValue }) else { return }
    if isWanted {
      isListening = (try? poller.add(number, token: Token.listener)) != nil
    } else {
      try? poller.remove(number)
      isListening = false
    }
  }

  private func accept() {
    while connections.count + handshakes.count < Self.connectionLimit,
      let client = shared.sockets.listener.borrow({ $0.accept() }) ?? nil
    {
      let handshake = VsockHandshake(id: takeID(), client)
      handshakes[handshake.id] = handshake
      do throws(SystemError) {
        try poller.add(handshake.number, token: handshake.id)
      } catch {
        drop(handshake, "\(error)")
        return
      }
      // The line may be there already.
      advance(handshake)
    }
    listen()
  }

  private func advance(_ handshake: VsockHandshake) {
    switch handshake.advance() {
    case .incomplete: return
    case .refused: drop(handshake, "says no CONNECT and port")
    case .port(let port):
      handshakes[handshake.id] = nil
      try? poller.remove(handshake.number)
      guard let descriptor = handshake.take(), let host = freePort(to: port) else { return }
      let connection = add(VsockPorts(host: host, guest: port), descriptor, .requested)
      connection.due = .request
      line.append(connection)
    }
  }

  private func drop(_ handshake: VsockHandshake, _ reason: String) {
    log.warning("\(shared.sockets.path): a program \(reason): closed")
    handshakes[handshake.id] = nil
    try? poller.remove(handshake.number)
    listen()
  }

  /// A port of the host that has no connection to the guest's `port`.
  private func freePort(to port: UInt32) -> UInt32? {
    // More than there can be connections.
    for _ in 0...Self.connectionLimit {
      let host = nextPort
      nextPort = nextPort == 1 << 31 ? 1 << 30 : nextPort + 1
      if connectionsByPorts[VsockPorts(host: host, guest: port)] == nil { return host }
    }
    return nil
  }

  private func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  // MARK: Connections

  /// Adds a connection and waits for its socket.
  func add(
    _ ports: VsockPorts,
    _ descriptor: consuming OwnedFileDescriptor,
    _ state: VsockConnection.State
  ) -> VsockConnection {
    let connection = VsockConnection(id: takeID(), ports, descriptor, state)
    connections[connection.id] = connection
    connectionsByPorts[ports] = connection
    poll(connection)
    listen()
    return connection
  }

  /// Ends a connection; the guest is told nothing of it.
  func remove(_ connection: VsockConnection) {
    if connection.interest != nil { try? poller.remove(connection.descriptor.rawValue) }
    connection.interest = nil
    connection.state = .closed
    connection.due = []
    connections[connection.id] = nil
    if connectionsByPorts[connection.ports] === connection {
      connectionsByPorts[connection.ports] = nil
    }
    listen()
  }

  /// Ends a connection, and tells the guest.
  func cut(_ connection: VsockConnection, _ reason: String? = nil) {
    if let reason {
      let ports = connection.ports
      log.warning("port \(ports.guest) of the guest to \(ports.host): \(reason): cut")
    }
    reply(to: connection.ports)
    remove(connection)
  }

  /// The guest knows no more of a connection: gives the program what has come, and then closes it.
  func drain(_ connection: VsockConnection) {
    guard connection.hasOutput, connection.guestShutdown.contains(.send) else {
      remove(connection)
      return
    }
    connection.state = .draining
    connection.due = []
    if connectionsByPorts[connection.ports] === connection {
      connectionsByPorts[connection.ports] = nil
    }
    poll(connection)
  }

  /// Forgets all connections, and has the guest told so.
  private func dropAll() {
    for connection in connections.values { remove(connection) }
    line.removeAll()
    replies = []
    isResetDue = true
  }

  /// Waits for what a connection needs now.
  func poll(_ connection: VsockConnection) {
    let wanted = connection.wantedInterest
    guard wanted != connection.interest else { return }
    let number = connection.descriptor.rawValue
    let before = connection.interest
    connection.interest = wanted
    do throws(SystemError) {
      switch (before, wanted) {
      case (nil, let wanted?): try poller.add(number, wanted, token: connection.id)
      case (_?, let wanted?): try poller.change(number, to: wanted, token: connection.id)
      case (_?, nil): try poller.remove(number)
      case (nil, nil): break
      }
    } catch {
      connection.interest = nil
      cut(connection, "\(error)")
    }
  }

  /// What the epoll says of a connection's socket.
  private func notice(_ event: Poller.Event, of connection: VsockConnection) {
    if event.isHungUp { connection.isHungUp = true }
    if event.isReadable { connection.isReadable = true }
    if event.isWritable { flush(connection) }
    guard connection.state != .closed else { return }
    if connection.isHungUp, connection.hostShutdown.contains(.send) {
      // Its end was told of; now it does not listen either.
      shutDown(connection, .both)
    }
    advance(connection)
  }

  /// Gives the program what it takes of what the guest has sent.
  func flush(_ connection: VsockConnection) {
    if !connection.flush() {
      connection.discardOutput()
      connection.isHungUp = true
      if connection.state == .open { shutDown(connection, .receive) }
    }
    guard !connection.hasOutput else { return }
    switch connection.state {
    case .draining: remove(connection)
    case .open where connection.guestShutdown == .both: cut(connection)
    case .open where connection.guestShutdown.contains(.send): connection.endOutput()
    case .requested, .open, .closed: break
    }
  }

  /// Tells the guest what the program will not do any more.
  func shutDown(_ connection: VsockConnection, _ what: VsockHeader.Shutdown) {
    guard !connection.hostShutdown.isSuperset(of: what) else { return }
    connection.hostShutdown.formUnion(what)
    connection.due.insert(.shutdown)
  }

  /// Puts a connection in the line if it has packets for the guest, and waits for what it needs.
  func advance(_ connection: VsockConnection) {
    guard connection.state != .closed else { return }
    if connection.credit.isReportDue { connection.due.insert(.creditUpdate) }
    if connection.hasPackets { line.append(connection) }
    poll(connection)
  }
}
