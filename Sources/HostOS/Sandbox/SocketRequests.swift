import Glibc

/// The monitor's end of a ``SocketBroker``: connects to what the plan lets a device reach, and to nothing else.
struct SocketRequests: ~Copyable {
  private let reachable: [ReachableSocket]
  private var way: OwnedFileDescriptor?
  private var request = [UInt8](repeating: 0, count: SocketBroker.requestSize)
  private var count = 0

  init(_ way: consuming OwnedFileDescriptor, _ reachable: [ReachableSocket]) {
    self.reachable = reachable
    self.way = consume way
  }

  /// The descriptor that requests come on, which has to stay open in any case; `nil` once a device has misused it.
  var number: Int32? { way.borrow { $0.rawValue } }

  /// Takes what there is of a request, and answers it when it is whole.
  mutating func advance() {
    guard let number else { return }
    var batch = DescriptorBatch()
    let result = try? SocketIO.receive(
      number,
      into: &request,
      from: count,
      count: request.count - count,
      &batch
    )
    switch result {
    case .bytes(let size): count += size
    case .nothing: return
    // Who sends descriptors is nobody that was made here.
    case .end, .tooManyDescriptors, nil: return way = nil
    }
    guard count == request.count else { return }
    count = 0
    if !answer(number) { way = nil }
  }

  /// - Returns: False if the device does not take its answers.
  private func answer(_ number: Int32) -> Bool {
    let path = String(decoding: request.prefix { $0 != 0 }, as: UTF8.self)
    do throws(SystemError) {
      guard reachable.contains(where: { $0.matches(path) }) else {
        throw SystemError(call: "connect", code: EACCES)
      }
      let socket = try UnixSocket.connect(to: path)
      return try SocketIO.send(number, [0], descriptors: [socket.rawValue]) == 1
    } catch {
      return (try? SocketIO.send(number, [UInt8(clamping: error.code)])) == 1
    }
  }
}
