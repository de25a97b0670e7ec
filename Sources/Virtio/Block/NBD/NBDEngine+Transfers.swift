import CLinux
import Glibc
import GuestMemory

/// What requests come to on the wire.
///
/// Data of one run in the host goes to and from guest RAM without a copy; the others, and what does not
/// consist of the server's blocks, by way of buffers: a request that finds none waits. A part of a block
/// is changed while nothing else is under way.
extension NBDEngine {
  private enum Start {
    case begun
    /// There is no buffer, or no connection any more.
    case mustWait
    /// It has not begun, and came to this.
    case failed(Int)
  }

  /// Whether the request begins or ends inside a block of the server's.
  func splitsBlocks(_ request: borrowing DiskRequest) -> Bool {
    switch request.action {
    case .read, .write, .fill:
      (request.offset | request.leftCount) & (disk.information.block - 1) != 0
    case .synchronize, .discard, .zero: false
    }
  }

  /// Begins what the request has to do next; if that must wait, it is the last of those that do.
  ///
  /// - Returns: Whether it has ended.
  func proceed(_ index: Int) -> Bool {
    while true {
      switch begin(index) {
      case .begun: return false
      case .mustWait:
        deferred.append(index)
        return false
      case .failed(let result):
        if requests[index].advance(result) { return true }
        // What is new to do may have to be alone.
        guard mayStart(index) else {
          deferred.append(index)
          return false
        }
      }
    }
  }

  /// Takes in what the server says of a request.
  ///
  /// - Returns: Whether the request has ended.
  func finish(_ index: Int, _ transfer: NBDTransfer, _ code: Int32) -> Bool {
    if code == 0, case .loading(let piece, let buffer) = transfer, requests[index].changesData {
      return store(piece, buffer, index)
    }
    let result = code == 0 ? take(transfer, index) : Int(-code)
    release(transfer, of: index)
    if requests[index].advance(result) { return true }
    guard deferred.isEmpty, mayStart(index) else {
      deferred.append(index)
      return false
    }
    return proceed(index)
  }

  /// Gives back what a transfer has taken.
  func release(_ transfer: NBDTransfer, of index: Int) {
    if exclusive == index { exclusive = nil }
    switch transfer {
    case .straight: break
    case .bounced(_, let buffer), .loading(_, let buffer), .storing(_, let buffer):
      buffers.giveBack(buffer)
    }
  }

  private func begin(_ index: Int) -> Start {
    guard let connection else { return .mustWait }
    let information = disk.information
    switch requests[index].action {
    case .read, .write, .fill:
      if splitsBlocks(requests[index]) { return beginPiece(index, connection) }
      if !information.canForce { requests[index].synchronizeWrites() }
      return beginTransfer(index, connection)
    case .synchronize:
      guard information.canFlush else { return .failed(0) }
      return note(index, .straight(0), connection.flush(index))
    case .discard:
      guard information.canTrim else { return .failed(Int(-EOPNOTSUPP)) }
      let range = requests[index].range
      return note(index, .straight(0), connection.trim(range.count, at: range.offset, index))
    case .zero(let mayUnmap):
      guard information.canZero else { return .failed(Int(-EOPNOTSUPP)) }
      let range = requests[index].range
      let code = connection.zero(range.count, at: range.offset, mayUnmap: mayUnmap, index)
      return note(index, .straight(0), code)
    }
  }

  /// Begins a transfer of whole blocks.
  private func beginTransfer(_ index: Int, _ connection: NBDConnection) -> Start {
    let offset = requests[index].offset
    let left = Int(min(requests[index].leftCount, disk.information.limit))
    let isForced = isForced(index)
    if case .fill = requests[index].action {
      let count = min(left, Int(apus_zeroes_count))
      // SAFETY: there are as many zeroes, for as long as the process lives.
      let zeroes = unsafe UnsafeRawBufferPointer(start: apus_zeroes(), count: count)
      let code = unsafe connection.write(zeroes, at: offset, isForced: isForced, index)
      return note(index, .straight(count), code)
    }
    if let run = unsafe requests[index].vector.singleRun() {
      // SAFETY: the request's place keeps the guest's memory alive until the request has ended.
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: run[..<min(run.count, left)])
      let code = unsafe transfer(part, at: offset, isForced, index, connection)
      return note(index, .straight(part.count), code)
    }
    guard let buffer = buffers.take() else { return .mustWait }
    let piece = piece(of: index)
    if requests[index].changesData { buffer.load(piece, of: requests[index]) }
    let part = unsafe buffer.bytes(0, piece.count)
    let code = unsafe transfer(part, at: offset, isForced, index, connection)
    return note(index, .bounced(piece.count, buffer), code)
  }

  /// Begins to read into these bytes, or to write them, whichever the request wants.
  @unsafe
  private func transfer(
    _ bytes: UnsafeMutableRawBufferPointer,
    at offset: UInt64,
    _ isForced: Bool,
    _ index: Int,
    _ connection: NBDConnection
  ) -> Int32 {
    guard requests[index].changesData else {
      return unsafe connection.read(bytes, at: offset, index)
    }
    let bytes = UnsafeRawBufferPointer(bytes)
    return unsafe connection.write(bytes, at: offset, isForced: isForced, index)
  }

  /// Begins with the blocks of which a part is to be read or changed; nothing else is under way.
  private func beginPiece(_ index: Int, _ connection: NBDConnection) -> Start {
    guard let buffer = buffers.take() else { return .mustWait }
    exclusive = index
    let piece = piece(of: index)
    let bytes = unsafe buffer.bytes(0, piece.blockCount)
    let code = unsafe connection.read(bytes, at: piece.start, index)
    return note(index, .loading(piece, buffer), code)
  }

  /// Writes the blocks of a piece back with what is new in them.
  private func store(_ piece: DiskPiece, _ buffer: BounceBuffer, _ index: Int) -> Bool {
    let transfer = NBDTransfer.storing(piece, buffer)
    guard let connection, !isLost else {
      release(transfer, of: index)
      deferred.append(index)
      return false
    }
    buffer.load(piece, of: requests[index])
    if !disk.information.canForce { requests[index].synchronizeWrites() }
    let bytes = unsafe UnsafeRawBufferPointer(buffer.bytes(0, piece.blockCount))
    let code = unsafe connection.write(
      bytes,
      at: piece.start,
      isForced: isForced(index),
      index
    )
    switch note(index, transfer, code) {
    case .begun: return false
    case .mustWait:
      deferred.append(index)
      return false
    case .failed(let result):
      if requests[index].advance(result) { return true }
      deferred.append(index)
      return false
    }
  }

  private func note(_ index: Int, _ transfer: NBDTransfer, _ code: Int32) -> Start {
    guard code != 0 else {
      noteBegin(index, transfer)
      return .begun
    }
    release(transfer, of: index)
    guard code == ENOTCONN else { return .failed(Int(-code)) }
    isLost = true
    return .mustWait
  }

  /// How many bytes of the request a transfer has moved; what was read into a buffer is copied.
  private func take(_ transfer: NBDTransfer, _ index: Int) -> Int {
    switch transfer {
    case .straight(let count): return count
    case .bounced(let count, let buffer):
      if !requests[index].changesData { buffer.store(count, from: 0, into: requests[index]) }
      return count
    case .loading(let piece, let buffer):
      buffer.store(piece.count, from: piece.before, into: requests[index])
      return piece.count
    case .storing(let piece, _): return piece.count
    }
  }

  private func piece(of index: Int) -> DiskPiece {
    DiskPiece(
      of: requests[index],
      block: disk.information.block,
      limit: Int(min(disk.information.limit, UInt64(BounceBuffer.count)))
    )
  }

  private func isForced(_ index: Int) -> Bool {
    requests[index].isDurableWrite && disk.information.canForce
  }
}
