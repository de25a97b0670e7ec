import CLinux
import Glibc

/// The listening sockets of a process that splits in two, which stay outside.
///
/// The monitor accepts each client and hands it on, one at a time: the next when the device has taken the one before. So a device
/// needs no right to accept, and when the monitor is killed its sockets close in that moment, as those of a single process do: a
/// client finds nobody there, and not somebody who is about to die.
final class ListenerHandover {
  private struct Entry {
    // -1 once the device has let go of it.
    var listener: Int32
    let outside: Int32
    let inside: Int32
    let path: String?
    /// Whether the device has taken the last client.
    var isTaken = true
    var listenerPlace: Int?
    var outsidePlace: Int?
  }

  private var entries: [Entry] = []

  /// Makes a way inside for each of the process's listening sockets.
  init() throws(SystemError) {
    for (number, holder) in UnixListener.all {
      guard case .own(let path) = holder else { continue }
      let pair = try SocketPair()
      let near = try pair.near.duplicated()
      let far = try pair.far.duplicated()
      entries.append(
        Entry(
          listener: number,
          outside: near.release(),
          inside: far.release(),
          path: path
        )
      )
    }
  }

  /// Has each listening socket's number stand for the way that its clients come; in the device's process.
  func enter() throws(SystemError) {
    for entry in entries {
      _ = try retrying("dup3") { apus_dup3(entry.inside, entry.listener, O_CLOEXEC) }
      _ = close(entry.inside)
      _ = close(entry.outside)
      UnixListener.note(entry.listener, .monitor)
    }
    entries = []
  }

  /// What the monitor needs.
  var kept: [Int32] { entries.flatMap { [$0.listener, $0.outside] } }

  /// Waits for clients, as far as they can be handed on.
  func add(to list: inout PollList) {
    for index in entries.indices where entries[index].listener >= 0 {
      entries[index].outsidePlace = list.add(entries[index].outside, for: .readable)
      entries[index].listenerPlace =
        entries[index].isTaken ? list.add(entries[index].listener, for: .readable) : nil
    }
  }

  /// Hands on those that are there.
  func advance(_ list: PollList) {
    for index in entries.indices where entries[index].listener >= 0 {
      if let place = entries[index].outsidePlace, list.isReady(place) { receive(index) }
      guard let place = entries[index].listenerPlace, list.isReady(place) else { continue }
      let number = Glibc.accept(entries[index].listener, nil, nil)
      guard number >= 0 else { continue }
      let client = OwnedFileDescriptor(adopting: number)
      let sent = try? SocketIO.send(
        entries[index].outside,
        [1],
        descriptors: [client.rawValue]
      )
      entries[index].isTaken = sent != 1
    }
  }

  /// Removes the files of all sockets.
  func removeFiles() {
    for entry in entries {
      if let path = entry.path { _ = unsafe unlink(path) }
    }
    entries = []
  }

  /// Takes notice of what the device says of a socket: that it has taken a client, or that it is done with it.
  private func receive(_ index: Int) {
    var byte: [UInt8] = [0]
    var batch = DescriptorBatch()
    let result = try? SocketIO.receive(
      entries[index].outside,
      into: &byte,
      from: 0,
      count: 1,
      &batch
    )
    switch result {
    case .bytes: entries[index].isTaken = true
    case .nothing: break
    case .end, .tooManyDescriptors, nil:
      _ = close(entries[index].listener)
      entries[index].listener = -1
      if let path = entries[index].path { _ = unsafe unlink(path) }
    }
  }

  /// Takes the next client that the monitor has handed on; non-blocking, or `nil` if there is none.
  static func accept(_ number: Int32) -> OwnedFileDescriptor? {
    var byte: [UInt8] = [0]
    var batch = DescriptorBatch()
    guard
      case .bytes? = try? SocketIO.receive(number, into: &byte, from: 0, count: 1, &batch),
      let client = batch.takeFirst()
    else { return nil }
    // Lost only with the monitor, and then all is.
    _ = try? SocketIO.send(number, [1])
    try? FileIO.setNonBlocking(client.rawValue)
    return client
  }
}
