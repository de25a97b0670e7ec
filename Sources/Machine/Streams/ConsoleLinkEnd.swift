import HostOS
import Synchronization
import Virtio

/// This process's end of one port of a console that has a process of its own.
///
/// What comes from outside is sent by the thread that reads it; what the guest says is read by that of ``ConsoleLinkHost``.
final class ConsoleLinkEnd: Sendable {
  let near: OwnedFileDescriptor
  /// The console's, which stays open for the process that follows on a dead one.
  let far: OwnedFileDescriptor
  /// Where the guest's output goes; `nil` for nowhere.
  let output: OwnedFileDescriptor?
  private let position = Mutex<UInt64>(0)

  init(_ output: consuming OwnedFileDescriptor?) throws(SystemError) {
    let pair = try SocketPair(ofPackets: ())
    near = try pair.near.duplicated()
    far = try pair.far.duplicated()
    // The flags of a terminal are shared with the shell: they stay as they are, and writes return at once all the same.
    let own = output.borrow { FileIO.reopenToWrite($0.rawValue) } ?? nil
    if own != nil { self.output = own } else { self.output = output }
  }

  /// Sends what came from outside, as much as there is room for.
  ///
  /// - Returns: How many bytes were taken.
  func send(_ bytes: ArraySlice<UInt8>) -> Int {
    position.withLock { position in
      var left = bytes
      while !left.isEmpty {
        let part = left.prefix(ConsoleFrame.limit)
        // A console that is gone takes everything.
        guard let isSent = try? PacketIO.send(near.rawValue, ConsoleFrame.make(position, part))
        else { return bytes.count }
        guard isSent else { break }
        position &+= UInt64(part.count)
        left = left.dropFirst(part.count)
      }
      return bytes.count - left.count
    }
  }
}
