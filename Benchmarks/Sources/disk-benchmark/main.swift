// Compares a disk behind a virtqueue with a loop over io_uring, or calls, on the same file.
//
//   swift run -c release --package-path Benchmarks disk-benchmark [ROUNDS] [FILE] [ROW]

import CDiskPeer
import Glibc
import HostOS
import Virtio

/// The monotonic clock, in seconds.
func now() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

func column(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

/// What is measured: where the bytes are, and what is asked for.
struct Row {
  var path: String?
  var isDirect = false
  var isWrite = false
  var count = 4096
  var depth = 32
  var engine = DiskImage.Engine.auto

  var name: String {
    let place = path.map { $0.hasPrefix("/dev/shm") ? "tmpfs" : "disk" } ?? "null"
    return "\(place)\(isDirect ? " direct" : "") \(engine == .calls ? "sync " : "")"
      + "\(isWrite ? "write" : "read") \(count >> 10)K"
  }

  static var byteCount: UInt64 { 512 << 20 }

  func makeBlock() throws -> Block {
    guard let path else { return Block(DiskSource(NullDisk(count: Self.byteCount)), name: "null") }
    let options = DiskImage.Options(isDirect: isDirect, engine: engine)
    return Block(try DiskImage(opening: path, options), name: "disk")
  }

  func makeRig() throws -> Rig {
    try Rig(
      makeBlock(),
      byteCount: Self.byteCount,
      depth: depth,
      count: count,
      isWrite: isWrite
    )
  }

  func peer(depth: Int, seconds: Double) -> Double {
    guard let path else { return 0 }
    return unsafe disk_peer_ring(
      path,
      isWrite ? 1 : 0,
      UInt32(depth),
      UInt32(self.depth),
      UInt32(count),
      seconds,
      isDirect ? 1 : 0
    )
  }
}

/// Makes a file of 512 MiB, all of it written.
func makeFile(_ path: String) throws {
  let file = try OwnedFileDescriptor(opening: path, O_RDWR | O_CREAT)
  let bytes = [UInt8](repeating: 7, count: 1 << 20)
  for _ in 0..<512 {
    try FileIO.writeAll(file.rawValue, bytes)
  }
  fsync(file.rawValue)
}

nonisolated func run() throws {
  let arguments = CommandLine.arguments.dropFirst()
  let rounds = arguments.first.flatMap { Int($0) } ?? 5
  let paths = ["/dev/shm/apus-disk-benchmark", arguments.dropFirst().first ?? "/var/tmp/apus-disk"]
  defer { for path in paths { unsafe unlink(path) } }
  for path in paths { try makeFile(path) }
  var rows: [Row] = [1, 32, 128].map { Row(depth: $0) }
  for path in paths {
    for isWrite in [false, true] {
      rows += [1, 32, 128].map { Row(path: path, isWrite: isWrite, depth: $0) }
    }
    rows.append(Row(path: path, count: 128 << 10))
  }
  rows.append(Row(path: paths[0], engine: .calls))
  rows += [1, 32, 128].map { Row(path: paths[1], isDirect: true, depth: $0) }
  rows.append(Row(path: paths[1], isDirect: true, isWrite: true))
  print("Requests a second, in thousands: medians of \(rounds) interleaved rounds.")
  print()
  print("| disk                  | depth | one thread | two threads | io_uring | calls    |")
  print("|-----------------------|------:|-----------:|------------:|---------:|---------:|")
  let wanted = arguments.dropFirst(2).first ?? ""
  for row in rows where row.name.contains(wanted) || wanted.isEmpty {
    var results: [[Double]] = [[], [], [], []]
    for _ in 0..<rounds {
      results[0].append(try row.makeRig().measureService(seconds: 0.2))
      results[1].append(try row.makeRig().measureDevice(seconds: 0.2))
      results[2].append(row.peer(depth: row.depth, seconds: 0.2))
      results[3].append(row.peer(depth: 0, seconds: 0.2))
    }
    let numbers = results.map { column("\(Int(median($0) / 100))".thousands, 8) }
    let name = row.name + String(repeating: " ", count: max(0, 21 - row.name.count))
    print(
      "| \(name) | \(column("\(row.depth)", 5)) | \(column(numbers[0], 10)) | "
        + "\(column(numbers[1], 11)) | \(numbers[2]) | \(numbers[3]) |"
    )
  }
}

extension String {
  /// The tenths of a number, with a point before the last digit.
  var thousands: String { count < 2 ? "0.\(self)" : "\(dropLast()).\(suffix(1))" }
}

try run()
