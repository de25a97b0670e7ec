import CLinux
import Glibc
import GuestMemory
import HostOS

/// Does requests on an image by calls that return when they are done, for one queue.
final class DiskCalls {
  /// The most bytes that one call moves.
  static var pieceLimit: UInt64 { 1 << 20 }

  let image: DiskImage
  // What cannot go straight to guest RAM; made when there first is such.
  private var bounce: BounceBuffer?

  init(_ image: DiskImage) { self.image = image }

  /// Does the next piece of `request`.
  ///
  /// - Returns: Whether the request has ended.
  func perform(_ request: inout DiskRequest) -> Bool {
    request.advance(result(of: request))
  }

  /// Does a request to its end.
  func complete(_ request: inout DiskRequest) {
    while !perform(&request) {}
  }

  private func result(of request: borrowing DiskRequest) -> Int {
    let number = image.descriptor.rawValue
    let flags: TransferFlags = request.isDurableWrite ? .dataSync : []
    switch request.action {
    case .read where !image.takes(request):
      return withBounce { image.read(request, through: $0) }
    case .write where !image.takes(request), .fill where !image.takes(request):
      return withBounce { image.write(request, through: $0, flags) }
    case .read:
      return request.vector.readPart(from: number, at: request.offset, atMost: Self.pieceLimit)
    case .write:
      return request.vector.writePart(
        to: number,
        at: request.offset,
        atMost: Self.pieceLimit,
        flags: flags
      )
    case .synchronize: return Self.call { fdatasync(number) }
    case .discard: return discard(request.range)
    case .zero(let mayUnmap): return zero(request.range, mayUnmap: mayUnmap)
    case .fill: return fill(request.offset, count: request.leftCount)
    }
  }

  private func withBounce(_ body: (BounceBuffer) -> Int) -> Int {
    if let bounce { return body(bounce) }
    let made = BounceBuffer(alignment: Int(max(image.memoryAlignment, image.offsetAlignment)))
    bounce = made
    return body(made)
  }

  private func discard(_ range: DiskRequest.Range) -> Int {
    let (number, isDevice) = (image.descriptor.rawValue, image.isBlockDevice)
    return Self.call { apus_discard(number, isDevice ? 1 : 0, range.offset, range.count) }
  }

  private func zero(_ range: DiskRequest.Range, mayUnmap: Bool) -> Int {
    let (number, isDevice) = (image.descriptor.rawValue, image.isBlockDevice)
    return Self.call {
      apus_write_zeroes(number, isDevice ? 1 : 0, range.offset, range.count, mayUnmap ? 1 : 0)
    }
  }

  /// Writes zeroes, where the host knows no shorter way.
  private func fill(_ offset: UInt64, count: UInt64) -> Int {
    let part = Int(min(count, UInt64(apus_zeroes_count)))
    let number = image.descriptor.rawValue
    // SAFETY: there are at least `part` zeroes.
    return Self.call { unsafe pwrite(number, apus_zeroes(), part, off_t(offset)) }
  }

  /// The result of a call, or a negative errno; a call that a signal interrupted is made again.
  static func call<Result: SignedInteger>(_ body: () -> Result) -> Int {
    while true {
      let result = body()
      if result >= 0 { return Int(result) }
      let code = errno
      if code != EINTR { return Int(-code) }
    }
  }
}
