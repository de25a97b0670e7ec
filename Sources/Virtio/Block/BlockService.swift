import GuestMemory
import HostOS

/// Serves a disk's requests, one after the other, on the queue's thread.
///
/// Data goes between the image and guest RAM without a copy. A request that fails on the host, or that
/// asks for what the disk does not have, is answered with its status, and the others go on; only a
/// request that has no room for a status breaks the queue.
final class BlockService: QueueService {
  // Between two looks at the order to stop.
  private static var batch: Int { 16 }

  private let image: DiskImage
  private let serial: [UInt8]
  private let log: LimitedLog
  private let isReadOnly: Bool
  // 5.2.6.2: without VIRTIO_BLK_F_FLUSH the driver takes a completed write for stored.
  private let canFlush: Bool
  private let cache: BlockCache
  private let features: VirtioFeatures
  private var chain: DescriptorChain
  private var vector: GuestIOVector

  init(
    _ image: DiskImage,
    serial: String,
    _ cache: BlockCache,
    _ activation: VirtioActivation
  ) {
    self.image = image
    // 5.2.6: 20 bytes, padded with zeroes, without one at the end if all are used.
    let text = Array(serial.utf8.prefix(Block.serialCount))
    self.serial = text + [UInt8](repeating: 0, count: Block.serialCount - text.count)
    log = activation.signals.log
    isReadOnly = image.isReadOnly
    canFlush = activation.features.contains(.blockFlush)
    self.cache = cache
    features = activation.features
    chain = DescriptorChain(in: activation.memory)
    vector = GuestIOVector(activation.memory)
  }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      guard try queue.pop(into: &chain) else { return .drained }
      let written = try answer()
      queue.complete(chain, written: written)
      // The guest may look at the used ring without an interrupt: show each as it is done.
      queue.publish()
    }
    return .busy
  }

  /// Does what the chain asks for, and returns how many bytes were written from its beginning on.
  private func answer() throws(VirtqueueError) -> UInt32 {
    guard chain.writableCount > 0 else {
      throw .unanswerable(head: chain.head, "has no room for the status of a block request")
    }
    // 5.2.6: the status is the last byte; what is before it is for data.
    let room = chain.writableCount - 1
    let status = perform(room: room)
    let filled = room - (chain.writableCount - 1)
    chain.skipWritable(chain.writableCount - 1)
    chain.write(status.rawValue)
    // 2.7.8.2: the length counts bytes from the first on; where the data before the status was not
    // written, or not all of it, no claim is made beyond what was.
    guard status == .ok else { return room == 0 ? 1 : 0 }
    return UInt32(clamping: filled == room ? room + 1 : filled)
  }

  /// Does what the chain asks for with all but the last of its writable bytes.
  private func perform(room: UInt64) -> BlockRequestStatus {
    let count = chain.readableCount
    guard let header = BlockRequestHeader(&chain) else {
      log.warning("block request with a header of \(count) bytes, not 16")
      return .ioError
    }
    // 5.2.6.2: a type that the device does not know is answered with VIRTIO_BLK_S_UNSUPP.
    guard let type = BlockRequestType(rawValue: header.type) else { return .unsupported }
    switch type {
    case .read: return read(header.sector, count: room)
    case .write: return write(header.sector, count: chain.readableCount)
    case .flush: return flush()
    case .identify:
      chain.write(serial, count: Int(min(room, UInt64(serial.count))))
      return .ok
    // 5.2.6.2: without the feature, the type is one that the device does not know.
    case .discard: return features.contains(.blockDiscard) ? discard() : .unsupported
    case .writeZeroes: return features.contains(.blockWriteZeroes) ? zero() : .unsupported
    }
  }

  private func read(_ sector: UInt64, count: UInt64) -> BlockRequestStatus {
    guard let offset = place(sector, count: count, "read") else { return .ioError }
    vector.removeAll()
    chain.appendWritable(to: &vector, count: count)
    do throws(SystemError) {
      let done = try image.read(&vector, at: offset)
      if done == count { return .ok }
      log.error("\(image.path): read of \(count) bytes at \(offset): the file ends after \(done)")
    } catch {
      log.error("\(image.path): read of \(count) bytes at \(offset): \(error)")
    }
    return .ioError
  }

  private func write(_ sector: UInt64, count: UInt64) -> BlockRequestStatus {
    guard !isReadOnly else {
      // 5.2.6.2: a write to a read-only disk is answered with VIRTIO_BLK_S_IOERR.
      log.warning("write of \(count) bytes to sector \(sector) of a read-only disk")
      return .ioError
    }
    guard let offset = place(sector, count: count, "write") else { return .ioError }
    vector.removeAll()
    chain.appendReadable(to: &vector, count: count)
    do throws(SystemError) {
      let done = try image.write(&vector, at: offset)
      if done == count { return settle() }
      log.error("\(image.path): write of \(count) bytes at \(offset): only \(done) taken")
    } catch {
      log.error("\(image.path): write of \(count) bytes at \(offset): \(error)")
    }
    return .ioError
  }

  /// What a change of the disk is answered with: at once, or when it is on stable storage.
  private func settle() -> BlockRequestStatus { canFlush && cache.isOn ? .ok : flush() }

  private func discard() -> BlockRequestStatus {
    let limit = BlockConfiguration.discardRangeLimit
    guard let count = rangeCount(limit: limit, "discard") else { return .ioError }
    for _ in 0..<count {
      guard let range = BlockRange(&chain) else { return .ioError }
      // 5.2.6.2: the unmap flag means nothing here, and the others nothing anywhere.
      guard !range.mayUnmap, !range.hasUnknownFlags else { return .unsupported }
      guard
        let offset = place(range, limit: BlockConfiguration.discardSectorLimit, "discard")
      else { return .ioError }
      let bytes = UInt64(range.sectorCount) * DiskImage.sectorSize
      guard bytes > 0 else { continue }
      do throws(SystemError) {
        try image.discard(bytes, at: offset)
      } catch {
        log.error("\(image.path): discard of \(bytes) bytes at \(offset): \(error)")
        return .ioError
      }
    }
    return settle()
  }

  private func zero() -> BlockRequestStatus {
    guard rangeCount(limit: 1, "write-zeroes") != nil, let range = BlockRange(&chain) else {
      return .ioError
    }
    guard !range.hasUnknownFlags else { return .unsupported }
    guard let offset = place(range, limit: BlockConfiguration.zeroSectorLimit, "write-zeroes")
    else { return .ioError }
    let bytes = UInt64(range.sectorCount) * DiskImage.sectorSize
    guard bytes > 0 else { return .ok }
    do throws(SystemError) {
      try image.writeZeroes(bytes, at: offset, mayUnmap: range.mayUnmap)
      return settle()
    } catch {
      log.error("\(image.path): write-zeroes of \(bytes) bytes at \(offset): \(error)")
      return .ioError
    }
  }

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
    return place(range.sector, count: UInt64(range.sectorCount) * DiskImage.sectorSize, verb)
  }

  private func flush() -> BlockRequestStatus {
    do throws(SystemError) {
      try image.flush()
      return .ok
    } catch {
      log.error("\(image.path): flush: \(error)")
      return .ioError
    }
  }

  /// The byte where a request begins, if all of it is whole sectors of the disk.
  private func place(_ sector: UInt64, count: UInt64, _ verb: String) -> UInt64? {
    // 5.2.6.1: data comes in multiples of 512 bytes; 5.2.6.2: beyond the capacity nothing is done.
    let sectors = image.count / DiskImage.sectorSize
    guard count % DiskImage.sectorSize == 0, sector <= sectors,
      count / DiskImage.sectorSize <= sectors - sector
    else {
      log.warning("\(verb) of \(count) bytes at sector \(sector) of \(sectors)")
      return nil
    }
    return sector * DiskImage.sectorSize
  }
}
