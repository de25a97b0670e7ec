import HostOS
import Synchronization

extension DiskImage: DiskStorage {
  var logicalBlockSize: UInt64 { offsetAlignment }
  var physicalBlockSize: UInt64 { max(blockSize, offsetAlignment) }
  var canDiscard: Bool { !isReadOnly }
  var canZero: Bool { !isReadOnly }

  var notice: String? {
    guard let ringRefusal else { return nil }
    return
      "\(path): the host refuses io_uring (\(ringRefusal.reason)), so requests are done one at "
      + "a time; engine=sync says that this is known"
  }

  func makeEngine(_ requests: DiskRequests, _ log: LimitedLog) -> any DiskEngine {
    guard usesRing else { return SynchronousEngine(self, requests) }
    do throws(SystemError) {
      return try RingEngine(self, requests)
    } catch {
      if !isNoticed.exchange(true, ordering: .relaxed) {
        log.warning("\(path): no io_uring (\(error)), so requests are done one at a time")
      }
      return SynchronousEngine(self, requests)
    }
  }
}
