import Glibc
import HostOS
import Synchronization
import TestSupport
import Testing
import Virtio

@Suite struct DiskImageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aMissingFileIsNamedWithTheRemedy() throws {
    let path = folder.path(of: "none")
    let error = #expect(throws: DiskImageError.missing(path: path)) {
      _ = try DiskImage(opening: path)
    }
    #expect(
      error?.description == "disk \(path): no such file; create one with: truncate -s 1G \(path)"
    )
  }

  @Test(arguments: [false, true])
  func aFolderIsNoDisk(readOnly: Bool) throws {
    #expect(throws: DiskImageError.directory(path: folder.path)) {
      _ = try DiskImage(opening: folder.path, readOnly: readOnly)
    }
  }

  @Test(arguments: [false, true])
  func aPipeIsNoDiskAndNobodyWaitsForIt(readOnly: Bool) throws {
    let path = folder.path(of: "pipe")
    #expect(mkfifo(path, 0o600) == 0)
    #expect(throws: DiskImageError.notADisk(path: path)) {
      _ = try DiskImage(opening: path, readOnly: readOnly)
    }
  }

  @Test func aDeviceThatIsNoDiskIsRefused() throws {
    #expect(throws: DiskImageError.notADisk(path: "/dev/null")) {
      _ = try DiskImage(opening: "/dev/null")
    }
  }

  @Test func aSizeOfPartSectorsIsNamedWithTheRemedy() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 1000))
    let error = #expect(throws: DiskImageError.badSize(path: path, count: 1000, block: 512)) {
      _ = try DiskImage(opening: path)
    }
    #expect(
      error?.description
        == "disk \(path) is 1000 bytes, not a multiple of 512: truncate -s 1024 \(path)"
    )
  }

  @Test func anEmptyFileIsRefused() throws {
    let path = try folder.file("disk", [])
    #expect(throws: DiskImageError.empty(path: path)) { _ = try DiskImage(opening: path) }
  }

  @Test func aWriterKeepsOthersOut() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 512))
    let first = try DiskImage(opening: path)
    let error = #expect(throws: DiskImageError.inUse(path: path, isReadOnly: false)) {
      _ = try DiskImage(opening: path)
    }
    #expect(error?.description.contains("is in use") == true)
    #expect(throws: DiskImageError.inUse(path: path, isReadOnly: true)) {
      _ = try DiskImage(opening: path, readOnly: true)
    }
    #expect(first.count == 512)
  }

  @Test func readersShareADiskAndKeepWritersOut() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 512))
    let readers = [
      try DiskImage(opening: path, readOnly: true), try DiskImage(opening: path, readOnly: true),
    ]
    #expect(throws: DiskImageError.inUse(path: path, isReadOnly: false)) {
      _ = try DiskImage(opening: path)
    }
    #expect(readers.count == 2)
  }

  @Test func theLockGoesWithTheDisk() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 512))
    do { _ = try DiskImage(opening: path) }
    #expect(try DiskImage(opening: path).count == 512)
  }

  /// A process that was killed holds it for a moment longer.
  @Test func aLockThatIsSoonLetGoOfIsWaitedFor() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 512))
    let holding = Holding(try DiskImage(opening: path))
    let thread = try Thread("holder") {
      usleep(50_000)
      holding.holder.withLock { $0 = nil }
    }
    #expect(try DiskImage(opening: path).count == 512)
    thread.join()
  }

  private final class Holding: Sendable {
    let holder: Mutex<DiskImage?>
    init(_ image: DiskImage) { holder = Mutex(image) }
  }

  @Test(.enabled(if: geteuid() != 0, "permissions do not hold back the superuser"))
  func aWriteProtectedFileIsNamedWithTheRemedy() throws {
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 512))
    #expect(chmod(path, 0o400) == 0)
    let error = #expect(throws: DiskImageError.self) { _ = try DiskImage(opening: path) }
    #expect(error?.description.hasSuffix("use it read-only: \(path),readonly") == true)
    #expect(try DiskImage(opening: path, readOnly: true).isReadOnly)
  }

  @Test func theMessagesAreOfOneLine() {
    let reason = SystemError(call: "open", code: EACCES, subject: "d")
    let all: [DiskImageError] = [
      .missing(path: "d"), .unreadable(path: "d", reason), .writeProtected(path: "d", reason),
      .directory(path: "d"), .notADisk(path: "d"), .empty(path: "d"),
      .badSize(path: "d", count: 1, block: 512), .notDirect(path: "d"),
      .noRing(path: "d", reason), .inUse(path: "d", isReadOnly: true),
      .inUse(path: "d", isReadOnly: false),
    ]
    #expect(all.allSatisfy { $0.description.hasPrefix("disk d") })
    #expect(all.allSatisfy { !$0.description.contains("\n") })
  }
}
