import HostOS
import Virtio

/// The device's configuration, and telling the front end that it changed.
extension VhostUserSession {
  func readConfiguration(offset: UInt32, size: UInt32, flags: UInt32) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(offset)
    bytes.append(size)
    bytes.append(flags)
    bytes.append((0..<size).map { configurationByte(at: UInt64(offset) + UInt64($0)) })
    return bytes.array
  }

  func writeConfiguration(
    _ bytes: [UInt8],
    offset: UInt32,
    flags: UInt32
  ) throws(VhostUserError) {
    let count = UInt64(device.device.configurationCount)
    var unchanged: Int?
    var done = 0
    while done < bytes.count {
      let place = UInt64(offset) + UInt64(done)
      let width = Self.width(at: place, atMost: bytes.count - done)
      let piece = bytes[done..<(done + width)]
      if place < count {
        let value = piece.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        device.device.writeConfiguration(value, offset: place, width: width)
      }
      for (index, byte) in piece.enumerated() {
        if configurationByte(at: place + UInt64(index)) == byte {
          written[UInt32(place) + UInt32(index)] = byte
        } else if unchanged == nil {
          unchanged = Int(place) + index
        }
      }
      done += width
    }
    // A migrated guest brings fields along that nobody writes (flag 1).
    guard flags & 1 == 0, let first = unchanged else { return }
    throw .ignored(.setConfiguration, "byte \(first) of the configuration cannot be written")
  }

  func setBackendSocket(_ descriptors: inout DescriptorBatch) throws(VhostUserError) {
    try need(.backendRequests, for: .setBackendSocket)
    guard let descriptor = descriptors.takeFirst() else { return }
    let kind = try kind(of: descriptor)
    guard kind == .streamSocket else {
      throw .wrongDescriptor(.setBackendSocket, kind, expected: "a unix stream socket")
    }
    backendSocket = consume descriptor
  }

  /// Tells the front end that the configuration or the status has changed, if it can be told.
  ///
  /// A front end that has stopped to read its socket is told later, or never.
  func announceChange() {
    guard hasUnsentChange, protocolFeatures.contains(.configuration), let socket = backendNumber
    else {
      hasUnsentChange = false
      return
    }
    // VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, without a payload.
    let message = VhostUserHeader(request: 2, size: 0).bytes
    do throws(SystemError) {
      // Twelve bytes go as a whole or not at all (unix(7)).
      if try SocketIO.send(socket, message[...]) > 0 { hasUnsentChange = false }
    } catch {
      hasUnsentChange = false
      backendSocket = nil
    }
  }

  /// The socket for requests of our own, for polling while something could not be sent.
  var backendNumber: Int32? { backendSocket.borrow { $0.rawValue } }

  /// Writes to the configuration again what the front end has written.
  func restoreConfiguration() {
    var places = written.keys.sorted()[...]
    while let first = places.first {
      let run = places.enumerated().prefix { $0.element == first + UInt32($0.offset) }.map(
        \.element
      )
      places = places.dropFirst(run.count)
      try? writeConfiguration(run.compactMap { written[$0] }, offset: first, flags: 1)
    }
  }

  /// The widest access that is aligned at `place` and not beyond `limit` bytes: fields are written as a
  /// driver would.
  private static func width(at place: UInt64, atMost limit: Int) -> Int {
    var width = 8
    while width > limit || place % UInt64(width) != 0 { width /= 2 }
    return width
  }

  private func configurationByte(at offset: UInt64) -> UInt8 {
    guard offset < UInt64(device.device.configurationCount) else { return 0 }
    return UInt8(truncatingIfNeeded: device.device.readConfiguration(offset: offset, width: 1))
  }
}
