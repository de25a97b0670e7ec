import GuestMemory

/// What a chain asks for, checked and made ready to be done.
extension BlockService {
  /// Reads the chain's request into `request`.
  ///
  /// - Returns: How it is answered at once; `nil` if there is something to do on the host.
  /// - Throws: ``VirtqueueError`` if there is no room for an answer.
  func prepare(
    _ request: inout DiskRequest
  ) throws(VirtqueueError) -> BlockRequestStatus? {
    guard chain.writableCount > 0 else {
      throw .unanswerable(head: chain.head, "has no room for the status of a block request")
    }
    // 5.2.6: the status is the last byte; what is before it is for data.
    let room = chain.writableCount - 1
    request.ticket = chain.ticket
    let status = prepare(&request, room: room)
    request.noteRoom(room, filled: room - (chain.writableCount - 1))
    chain.skipWritable(chain.writableCount - 1)
    // Buffers without a byte are passed over.
    while let run = chain.takeWritable(atMost: 1) {
      if run.count == 1 { request.status = run.address }
    }
    return status
  }

  /// Reads what the chain asks for with all but the last of its writable bytes.
  private func prepare(_ request: inout DiskRequest, room: UInt64) -> BlockRequestStatus? {
    let count = chain.readableCount
    guard let header = BlockRequestHeader(&chain) else {
      log.warning("block request with a header of \(count) bytes, not 16")
      return .ioError
    }
    // 5.2.6.2: a type that the device does not know is answered with VIRTIO_BLK_S_UNSUPP.
    guard let type = BlockRequestType(rawValue: header.type) else { return .unsupported }
    switch type {
    case .read: return prepareRead(&request, header.sector, count: room)
    case .write: return prepareWrite(&request, header.sector, count: chain.readableCount)
    case .flush:
      request.beginFlush()
      return nil
    case .identify:
      chain.write(serial, count: Int(min(room, UInt64(serial.count))))
      return .ok
    // 5.2.6.2: without the feature, the type is one that the device does not know.
    case .discard:
      return features.contains(.blockDiscard) ? prepareDiscard(&request) : .unsupported
    case .writeZeroes:
      return features.contains(.blockWriteZeroes) ? prepareZero(&request) : .unsupported
    }
  }

  private func prepareRead(
    _ request: inout DiskRequest,
    _ sector: UInt64,
    count: UInt64
  ) -> BlockRequestStatus? {
    guard let offset = place(sector, count: count, "read") else { return .ioError }
    request.vector.removeAll()
    guard chain.appendWritable(to: &request.vector, count: count) == count else {
      return unreachable("read", count)
    }
    request.begin(.read, at: offset)
    return count == 0 ? .ok : nil
  }

  private func prepareWrite(
    _ request: inout DiskRequest,
    _ sector: UInt64,
    count: UInt64
  ) -> BlockRequestStatus? {
    guard !isReadOnly else {
      // 5.2.6.2: a write to a read-only disk is answered with VIRTIO_BLK_S_IOERR.
      log.warning("write of \(count) bytes to sector \(sector) of a read-only disk")
      return .ioError
    }
    guard let offset = place(sector, count: count, "write") else { return .ioError }
    request.vector.removeAll()
    guard chain.appendReadable(to: &request.vector, count: count) == count else {
      return unreachable("write", count)
    }
    request.begin(.write, at: offset, isDurable: isDurable)
    return count == 0 ? .ok : nil
  }

  /// Answers a request whose buffers are distant, and cannot be had or are too many at a time.
  private func unreachable(_ verb: String, _ count: UInt64) -> BlockRequestStatus {
    log.error("\(verb) of \(count) bytes: the guest's memory cannot be reached")
    return .ioError
  }

  private func prepareDiscard(_ request: inout DiskRequest) -> BlockRequestStatus? {
    let limit = BlockConfiguration.discardRangeLimit
    guard let count = rangeCount(limit: limit, "discard") else { return .ioError }
    request.removeRanges()
    var isEmpty = true
    for _ in 0..<count {
      guard let range = BlockRange(&chain) else { return .ioError }
      // 5.2.6.2: the unmap flag means nothing here, and the others nothing anywhere.
      guard !range.mayUnmap, !range.hasUnknownFlags else { return .unsupported }
      guard
        let offset = place(range, limit: BlockConfiguration.discardSectorLimit, "discard")
      else { return .ioError }
      guard range.sectorCount > 0 else { continue }
      request.append(DiskRequest.Range(offset: offset, count: range.byteCount))
      isEmpty = false
    }
    guard !isEmpty else { return .ok }
    request.beginRanges(.discard, isDurable: isDurable)
    return nil
  }

  private func prepareZero(_ request: inout DiskRequest) -> BlockRequestStatus? {
    guard rangeCount(limit: 1, "write-zeroes") != nil, let range = BlockRange(&chain) else {
      return .ioError
    }
    guard !range.hasUnknownFlags else { return .unsupported }
    guard let offset = place(range, limit: BlockConfiguration.zeroSectorLimit, "write-zeroes")
    else { return .ioError }
    guard range.sectorCount > 0 else { return .ok }
    request.removeRanges()
    request.append(DiskRequest.Range(offset: offset, count: range.byteCount))
    request.beginRanges(.zero(mayUnmap: range.mayUnmap), isDurable: isDurable)
    return nil
  }

  /// Whether what changes the disk is answered only when it is on stable storage.
  ///
  /// 5.2.6.2: without VIRTIO_BLK_F_FLUSH the driver takes a completed write for stored.
  private var isDurable: Bool { !canFlush || !state.isCaching }

  /// How many ranges the rest of the chain holds, if it is a number that was offered.
  private func rangeCount(limit: UInt32, _ verb: String) -> UInt64? {
    let count = chain.readableCount / BlockRange.size
    guard chain.readableCount % BlockRange.size == 0, (1...UInt64(limit)).contains(count) else {
      log.warning(
        "\(verb) with \(chain.readableCount) bytes of ranges; 1 to \(limit) of 16 are taken"
      )
      return nil
    }
    return count
  }

  /// The byte where a range begins, if it is on the disk and no longer than what was offered.
  private func place(_ range: BlockRange, limit: UInt32, _ verb: String) -> UInt64? {
    guard range.sectorCount <= limit else {
      log.warning("\(verb) of \(range.sectorCount) sectors; at most \(limit) are taken")
      return nil
    }
    return place(range.sector, count: range.byteCount, verb)
  }

  /// The byte where a request begins, if all of it is whole sectors of the disk.
  private func place(
    _ sector: UInt64,
    count: UInt64,
    _ verb: @autoclosure () -> String
  ) -> UInt64? {
    // 5.2.6.1: data comes in multiples of 512 bytes; 5.2.6.2: beyond the capacity nothing is done.
    let sectors = state.count / DiskImage.sectorSize
    guard count % DiskImage.sectorSize == 0, sector <= sectors,
      count / DiskImage.sectorSize <= sectors - sector
    else {
      log.warning("\(verb()) of \(count) bytes at sector \(sector) of \(sectors)")
      return nil
    }
    return sector * DiskImage.sectorSize
  }
}
