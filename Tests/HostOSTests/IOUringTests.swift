import Glibc
import HostOS
import TestSupport
import Testing

/// Whether the host has io_uring for us; containers often refuse it.
private let hasRing = (try? IOUring(capacity: 1, files: [])) != nil

@Suite(.enabled(if: hasRing, "the host refuses io_uring"), .timeLimit(.minutes(5)))
final class IOUringTests {
  private let folder: TemporaryFolder
  private let file: OwnedFileDescriptor

  init() throws {
    folder = try TemporaryFolder()
    let bytes = (0..<8192).map { UInt8(truncatingIfNeeded: $0 / 256) }
    file = try OwnedFileDescriptor(opening: try folder.file("data", bytes), O_RDWR)
  }

  private func read(
    _ ring: IOUring,
    _ bytes: UnsafeMutableRawPointer,
    _ count: Int,
    at offset: UInt64,
    token: UInt64
  ) -> Bool {
    var segment = iovec(iov_base: bytes, iov_len: count)
    return withUnsafePointer(to: &segment) {
      let isTaken = ring.read($0, count: 1, file: 0, at: offset, flags: [], token: token)
      // The list is needed until then.
      return isTaken && ring.enter()
    }
  }

  private func takeAll(_ ring: IOUring, _ count: Int) -> [UInt64: Int32] {
    var results: [UInt64: Int32] = [:]
    while results.count < count {
      if let completion = ring.take() {
        results[completion.token] = completion.result
      } else {
        ring.enter(waitingFor: 1)
      }
    }
    return results
  }

  @Test(arguments: IOUring.Work.allCases)
  func operationsEndWithTheirTokensAndResults(work: IOUring.Work) throws {
    let ring = try IOUring(capacity: 8, files: [file.rawValue], work: work)
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 4 * 256, alignment: 16)
    defer { bytes.deallocate() }
    for index in 0..<4 {
      #expect(
        read(ring, bytes + 256 * index, 256, at: UInt64(index * 512), token: UInt64(100 + index))
      )
    }
    #expect(takeAll(ring, 4) == [100: 256, 101: 256, 102: 256, 103: 256])
    #expect((0..<4).map { bytes.load(fromByteOffset: 256 * $0, as: UInt8.self) } == [0, 2, 4, 6])
    #expect(ring.pendingCount == 0)
    #expect(ring.take() == nil)
  }

  @Test func aPartThatIsThereAndAnErrorAreResults() throws {
    let ring = try IOUring(capacity: 4, files: [file.rawValue])
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 512, alignment: 16)
    defer { bytes.deallocate() }
    #expect(read(ring, bytes, 512, at: 8192 - 100, token: 1))
    #expect(read(ring, bytes, 512, at: 1 << 20, token: 2))
    #expect(ring.allocate(file: 0, mode: 0, at: 0, count: 0, token: 3))
    ring.enter()
    #expect(takeAll(ring, 3) == [1: 100, 2: 0, 3: -EINVAL])
  }

  @Test func noMoreIsTakenThanTheRingHolds() throws {
    let ring = try IOUring(capacity: 4, files: [file.rawValue])
    let taken = (0..<6).map { ring.synchronize(file: 0, token: UInt64($0)) }
    #expect(taken == [true, true, true, true, false, false])
    #expect(!ring.hasRoom)
    #expect(ring.collectedCount == 4)
    ring.enter()
    #expect(takeAll(ring, 4).values.allSatisfy { $0 == 0 })
    #expect(ring.hasRoom)
    #expect(ring.synchronize(file: 0, token: 9))
  }

  @Test(arguments: IOUring.Work.allCases)
  func theDescriptorIsReadableFromACompletionOnUntilAllAreTaken(work: IOUring.Work) throws {
    let ring = try IOUring(capacity: 8, files: [file.rawValue], work: work)
    let poller = try Poller()
    try poller.add(ring.descriptor, token: 7)
    func isReady(_ milliseconds: Int32) throws -> Bool {
      var isReady = false
      try poller.wait(timeout: milliseconds) { isReady = $0.token == 7 }
      return isReady
    }
    #expect(try !isReady(0))
    for round in 0..<50 as Range<UInt64> {
      for index in 0..<3 as Range<UInt64> {
        #expect(ring.synchronize(file: 0, token: 3 * round + index))
      }
      ring.enter()
      var count = 0
      while count < 3 {
        // Not one completion may be missed by a thread that sleeps in the kernel.
        #expect(try isReady(10_000))
        while let completion = ring.take() {
          #expect(completion.result == 0)
          count += 1
        }
      }
      #expect(!ring.hasCompletions)
    }
    #expect(try !isReady(0))
  }

  @Test func aRingThatIsLetGoWaitsForItsOperations() throws {
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 16)
    bytes.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 8192)
    do {
      let ring = try IOUring(capacity: 32, files: [file.rawValue])
      for index in 0..<32 as Range<UInt64> {
        #expect(read(ring, bytes + Int(index) * 256, 256, at: index * 256, token: index))
      }
    }
    let last = bytes.load(fromByteOffset: 8191, as: UInt8.self)
    bytes.deallocate()
    #expect(last == 31)
  }

  @Test func zeroesAreWritten() throws {
    let ring = try IOUring(capacity: 2, files: [file.rawValue])
    #expect(ring.writeZeroes(file: 0, at: 1000, count: 3000, token: 1))
    ring.enter()
    #expect(takeAll(ring, 1) == [1: 3000])
    let bytes = try folder.bytes(at: "\(folder.path)/data")
    #expect(bytes[1000..<4000].allSatisfy { $0 == 0 })
    #expect(bytes[999] == 3 && bytes[4000] == 15)
  }

  @Test func nobodyWaitsForWhatIsNotUnderWay() throws {
    let ring = try IOUring(capacity: 4, files: [file.rawValue])
    #expect(ring.enter(waitingFor: 3))
    #expect(ring.synchronize(file: 0, token: 1))
    #expect(ring.enter(waitingFor: 3))
    #expect(ring.take()?.token == 1)
  }

  @Test func aDescriptorThatIsClosedIsRefused() {
    let error = #expect(throws: SystemError.self) { try IOUring(capacity: 2, files: [9999]) }
    #expect(error?.code == EBADF)
  }
}
