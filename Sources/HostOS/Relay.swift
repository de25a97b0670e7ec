/// Carries bytes from one descriptor to another, holding at most one buffer of them.
///
/// Owned by the thread that polls. The source is read only when everything before has been
/// written, so a slow sink slows the source and no byte is lost.
public struct Relay {
  /// The descriptor to read from.
  public let source: Int32
  /// The descriptor to write to.
  public let sink: Int32
  /// Whether the source has ended; what was read before may still be pending.
  public private(set) var hasEnded = false
  private var pending: ArraySlice<UInt8> = []
  private let filter: ([UInt8]) -> [UInt8]

  /// A pipe that polls writable takes at least this much at once (`PIPE_BUF`), so that a blocking
  /// sink does not block us.
  private static var chunk: Int { 4096 }

  /// Relays from `source` to `sink`, through `filter`.
  public init(
    from source: Int32,
    to sink: Int32,
    filter: @escaping ([UInt8]) -> [UInt8] = { $0 }
  ) {
    self.source = source
    self.sink = sink
    self.filter = filter
  }

  /// Whether nothing is left to write.
  public var isDrained: Bool { pending.isEmpty }

  /// Adds to `list` what this relay waits for now.
  ///
  /// - Returns: The place in the list, or `nil` if it waits for nothing.
  public func register(in list: inout PollList) -> Int? {
    if !pending.isEmpty { return list.add(sink, for: .writable) }
    if !hasEnded { return list.add(source, for: .readable) }
    return nil
  }

  /// Moves what can be moved now, after the wait said that this relay is ready.
  public mutating func advance() {
    if pending.isEmpty, !hasEnded {
      switch Result(catching: { () throws(SystemError) in
        try FileIO.read(source, atMost: Self.chunk)
      }) {
      case .success(.some(let bytes)) where !bytes.isEmpty: pending = filter(bytes)[...]
      case .success(.none): return
      // The end, or an error that will not go away, such as a terminal that was closed.
      case .success, .failure: hasEnded = true
      }
    } else if !pending.isEmpty {
      do throws(SystemError) {
        pending = pending.dropFirst(try FileIO.write(sink, pending))
      } catch {
        // Nobody takes the bytes any more: drop them, and what would follow.
        pending = []
        hasEnded = true
      }
    }
  }
}
