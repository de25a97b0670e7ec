import GuestMemory
import HostOS

/// A stream of frames on the thread of its pair of queues, over one connection after the other.
final class StreamPort: NetPort {
  private let backend: StreamBackend
  // Each direction keeps its connection until it has noticed that it is over: the thread may be waiting
  // for the descriptor.
  private var receiving: StreamConnection?
  private var sending: StreamConnection?

  init(_ backend: StreamBackend) {
    self.backend = backend
    receiving = backend.connection
    isConnected = true
  }

  let hasHeader = false
  private(set) var isConnected: Bool

  func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
    if receiving == nil {
      isConnected = false
      switch backend.connect() {
      case .connected(let new): receiving = new
      case .wait(let descriptor): return .mustWait(descriptor)
      case .never: return .ended("the other end is closed")
      }
    }
    guard let connection = receiving else { return .ended("there is no connection") }
    isConnected = true
    switch connection.receive(into: &buffers, overflow: &overflow) {
    case .frame(let count): return .frame(count: NetHeader.size + count)
    case .mustWait(let descriptor): return .mustWait(descriptor)
    case .broken(let reason):
      backend.close(connection)
      receiving = nil
      isConnected = false
      return .disconnected(reason)
    }
  }

  func send(_ frame: inout GuestIOVector) -> NetSent {
    // Nothing is kept of a connection that is over.
    sending = backend.connection
    guard let connection = sending else { return .dropped(nil) }
    return connection.send(&frame)
  }

  func flush() -> NetSent { sending?.flush() ?? .sent }
}
