import CLinux
import Glibc
import TestSupport
import Testing

@testable import HostOS

/// Whether the host has rings that can be restricted (Linux 5.10).
private let hasRings = IOUringPool(count: 1, capacity: 1).count == 1

/// Rings that were made ahead, for a process that must not make any.
@Suite(.enabled(if: hasRings, "the host refuses io_uring"), .timeLimit(.minutes(5)))
final class IOUringPoolTests {
  private let folder: TemporaryFolder
  private let file: OwnedFileDescriptor

  init() throws {
    folder = try TemporaryFolder()
    let bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 / 256) }
    file = try OwnedFileDescriptor(opening: try folder.file("data", bytes), O_RDWR)
  }

  private func answer(_ ring: IOUring) -> Int32? {
    guard ring.enter(waitingFor: 1) else { return nil }
    return ring.take()?.result
  }

  /// Reads, writes, syncs and makes holes.
  private func use(_ pool: IOUringPool) throws -> [Int32?] {
    let ring = try IOUring(capacity: 4, files: [file.rawValue], from: pool)
    var byte: UInt8 = 0
    return withUnsafeMutablePointer(to: &byte) { byte in
      var segment = iovec(iov_base: byte, iov_len: 1)
      _ = ring.read(&segment, count: 1, file: 0, at: 512, flags: [], token: 1)
      let read = answer(ring)
      _ = ring.write(&segment, count: 1, file: 0, at: 0, flags: .dataSync, token: 2)
      let written = answer(ring)
      _ = ring.synchronize(file: 0, token: 3)
      let synchronized = answer(ring)
      _ = ring.allocate(file: 0, mode: 0, at: 0, count: 8192, token: 4)
      return [read, written, synchronized, answer(ring), Int32(byte.pointee)]
    }
  }

  @Test func theyDoWhatDisksNeed() throws {
    #expect(try use(IOUringPool(count: 1, capacity: 8)) == [1, 1, 0, 0, 2])
  }

  @Test func oneThatIsGivenBackServesOtherThreads() throws {
    let pool = IOUringPool(count: 1, capacity: 8)
    let first = try use(pool)
    let file = try OwnedFileDescriptor(duplicating: file.rawValue)
    let failures = try IOUringPoolTests.onAnotherThread {
      let ring = try IOUring(capacity: 8, files: [file.rawValue], from: pool)
      _ = ring.synchronize(file: 0, token: 1)
      return ring.enter(waitingFor: 1) && ring.take()?.result == 0
    }
    #expect(first == [1, 1, 0, 0, 2])
    #expect(failures)
    #expect(try use(pool) == [1, 1, 0, 0, 2])
    #expect(pool.count == 1)
  }

  @Test func noneIsMadeBeyondThem() throws {
    let pool = IOUringPool(count: 1, capacity: 4)
    let ring = try IOUring(capacity: 4, files: [file.rawValue], from: pool)
    let error = #expect(throws: SystemError.self) {
      try IOUring(capacity: 4, files: [file.rawValue], from: pool)
    }
    #expect(error?.code == ENOSPC)
    #expect(ring.synchronize(file: 0, token: 1))
    #expect(answer(ring) == 0)
  }

  @Test func oneThatIsTooSmallIsNotTaken() throws {
    let pool = IOUringPool(count: 1, capacity: 4)
    #expect(throws: SystemError.self) { try IOUring(capacity: 8, files: [], from: pool) }
    #expect(pool.count == 1)
  }

  @Test(arguments: [0, 6, 16, 18, 45] as [UInt8])
  func otherOperationsAreRefused(operation: UInt8) throws {
    let pool = IOUringPool(count: 1, capacity: 4)
    let ring = try IOUring(capacity: 4, files: [file.rawValue], from: pool)
    for isRegistered in [false, true] {
      #expect(ring.request(operation, isRegistered: isRegistered, file: 0, token: 1))
      #expect(answer(ring) == -EACCES)
    }
  }

  @Test func filesThatAreNotRegisteredAreRefused() throws {
    let pool = IOUringPool(count: 1, capacity: 4)
    let ring = try IOUring(capacity: 4, files: [file.rawValue], from: pool)
    #expect(ring.request(22, isRegistered: false, file: file.rawValue, token: 1))
    #expect(answer(ring) == -EACCES)
  }

  private static func onAnotherThread(
    _ body: @escaping @Sendable () throws -> Bool
  ) throws -> Bool {
    let isDone = try EventFD()
    let thread = try TestThread { if (try? body()) == true { isDone.signal() } }
    thread.join()
    return isDone.drain() > 0
  }
}
