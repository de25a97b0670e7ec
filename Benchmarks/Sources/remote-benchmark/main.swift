// Times devices in processes of their own beside the same in this one; run by `remote`, which starts the processes.
//
//   remote-benchmark registers COUNT NAME=REMOTE...       the round trip of a register read
//   remote-benchmark disk SECONDS ROUNDS null|FILE REMOTE  requests a second
//   remote-benchmark recorded SECONDS ROUNDS REMOTE REMOTE requests a second of an empty disk, recorded and not
//   remote-benchmark recovery COUNT APUS                   how long a disk is away whose process is killed
//
// REMOTE is recorded:FILE:SOCKET, for vfio-user whose messages are recorded,  vfio-user:SOCKET, mpqemu:SOCKET, or mpqemu-exec:COMMAND.

import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Logging
import PCI
import RemoteDevice
import Virtio

struct BenchmarkError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The monotonic clock, in seconds.
func now() -> Double { Double(MonotonicClock.nanoseconds) * 1e-9 }

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

func column(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

func label(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}

func number(_ value: Double) -> String {
  let hundredths = Int((value * 100).rounded())
  let rest = hundredths % 100
  return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
}

/// Who serves a device.
func remote(_ text: String) throws -> any RemoteFunctionMaker {
  let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
  guard parts.count == 2 else { throw BenchmarkError("\(text) names no remote") }
  let logger = Logger(label: parts[0])
  switch parts[0] {
  case "recorded":
    let places = parts[1].split(separator: ":", maxSplits: 1).map(String.init)
    guard places.count == 2 else { throw BenchmarkError("\(text) is not recorded:FILE:SOCKET") }
    var options = VfioUserRemote.Options(path: places[1], name: "vfio")
    options.recorder = try MessageRecorder(path: places[0], logger: logger)
    return try VfioUserRemote(options, logger: logger)
  case "vfio-user":
    return try VfioUserRemote(VfioUserRemote.Options(path: parts[1], name: "vfio"), logger: logger)
  case "mpqemu":
    return try MPQEMUDevice(MPQEMURemote(.socket(parts[1])), name: "mpqemu", logger: logger)
  case "mpqemu-exec":
    return try MPQEMUDevice(MPQEMURemote(.command(parts[1])), name: "mpqemu", logger: logger)
  default: throw BenchmarkError("\(text) names no remote")
  }
}

/// A function of another process, on a board of nothing else.
func makeFunction(
  _ maker: any RemoteFunctionMaker,
  _ memory: GuestMemory,
  _ wiring: Wiring
) throws -> any RemotePCIFunction {
  try maker.makeFunction(
    RemoteWiring(memory: memory, line: Wiring.Line(), messages: wiring, doorbells: wiring)
  )
}

/// The disk in this process.
func makeTransport(
  _ path: String,
  _ byteCount: UInt64,
  _ memory: GuestMemory,
  _ wiring: Wiring
) throws -> PCITransport {
  let source =
    path == "null"
    ? DiskSource(NullDisk(count: byteCount))
    : DiskSource(try DiskImage(opening: path, DiskImage.Options()))
  // As `apus serve` does.
  let block = Block(source, name: "disk", polling: .adaptive)
  return try PCITransport(
    block,
    memory: memory,
    line: Wiring.Line(),
    messages: wiring,
    doorbells: wiring,
    logger: Logger(label: "disk")
  )
}

/// Reads the first register of each remote, in turn: the median and the 99th percentile of the round trips.
func compareRegisters(_ count: Int, _ arguments: [String]) throws {
  print("register read, ns\(column("median", 22))\(column("p99", 10))")
  let memory = try GuestMemory(count: 64 << 20)
  var rows: [(name: String, read: () -> Void, end: () -> Void)] = []
  for argument in arguments {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { throw BenchmarkError("\(argument) is not NAME=REMOTE") }
    let maker = try remote(parts[1])
    // QEMU's resets its machine once when it answers already, which no guest is early enough to meet.
    usleep(500_000)
    let function = try makeFunction(maker, memory, Wiring())
    function.writeConfiguration(UInt32(Driver.address), 0x10, width: 4)
    function.writeConfiguration(6, 4, width: 2)
    function.barDidMove(0, to: Driver.address)
    _ = function.readConfiguration(0x10, width: 4)
    rows.append(
      (
        parts[0], { _ = function.readBAR(BusAccess(region: 0, offset: 0, width: 4)) },
        {
          function.stop()
          withExtendedLifetime(maker) {}
        }
      )
    )
  }
  let wiring = Wiring()
  let own = try makeTransport("null", 1 << 20, memory, wiring)
  rows.append(
    ("in this process", { _ = own.readBAR(BusAccess(region: 0, offset: 0, width: 4)) }, {})
  )
  var times = rows.map { _ in [Double]() }
  // In turn, so that what else the machine does meets all of them.
  for _ in 0..<20 {
    for (index, row) in rows.enumerated() {
      for _ in 0..<max(count / 20, 1) {
        let start = MonotonicClock.nanoseconds
        row.read()
        times[index].append(Double(MonotonicClock.nanoseconds - start))
      }
    }
  }
  for (index, row) in rows.enumerated() {
    let sorted = times[index].sorted()
    print(
      label(row.name, 28) + column("\(Int(sorted[sorted.count / 2]))", 11)
        + column("\(Int(sorted[sorted.count * 99 / 100]))", 10)
    )
    row.end()
  }
}

/// Requests a second of a disk here and there, at some depths.
func compareDisks(_ seconds: Double, _ rounds: Int, _ path: String, _ place: String) throws {
  let byteCount: UInt64 = 512 << 20
  let maker = try remote(place)
  for (isWrite, count, depth) in [
    (false, 4096, 1), (false, 4096, 8), (false, 4096, 32), (true, 4096, 32), (false, 131072, 32),
  ] {
    var here: [Double] = []
    var there: [Double] = []
    for _ in 0..<rounds {
      do {
        let (memory, wiring) = (try GuestMemory(count: 64 << 20), Wiring())
        let transport = try makeTransport(path, byteCount, memory, wiring)
        let driver = try Driver(
          transport,
          wiring,
          memory,
          byteCount: byteCount,
          depth: depth,
          count: count,
          isWrite: isWrite
        )
        here.append(try driver.measure(seconds: seconds))
        driver.end()
      }
      let (memory, wiring) = (try GuestMemory(count: 64 << 20), Wiring())
      let function = try makeFunction(maker, memory, wiring)
      let driver = try Driver(
        function,
        wiring,
        memory,
        byteCount: byteCount,
        depth: depth,
        count: count,
        isWrite: isWrite
      )
      there.append(try driver.measure(seconds: seconds))
      driver.end()
      function.stop()
    }
    let place = path == "null" ? "null" : path.hasPrefix("/dev/shm") ? "tmpfs" : "disk"
    let ratio = median(zip(here, there).map { $1 / $0 })
    print(
      label("\(place) \(isWrite ? "write" : "read") \(count >> 10)K depth \(depth)", 28)
        + column("\(Int(median(here)))", 12) + column("\(Int(median(there)))", 12)
        + column(number(ratio), 8)
    )
  }
}

/// Requests a second of two disks of 512 MiB, of which the second is recorded.
func compareRecorded(_ seconds: Double, _ rounds: Int, _ plain: String, _ recorded: String) throws {
  let makers = try [remote(plain), remote(recorded)]
  for count in [4096, 131072] {
    var rates: [[Double]] = [[], []]
    for _ in 0..<rounds {
      for (index, maker) in makers.enumerated() {
        let (memory, wiring) = (try GuestMemory(count: 64 << 20), Wiring())
        let function = try makeFunction(maker, memory, wiring)
        let driver = try Driver(
          function,
          wiring,
          memory,
          byteCount: 512 << 20,
          depth: 32,
          count: count,
          isWrite: false
        )
        rates[index].append(try driver.measure(seconds: seconds))
        driver.end()
        function.stop()
      }
    }
    print(
      label("null read \(count >> 10)K depth 32", 28) + column("\(Int(median(rates[0])))", 12)
        + column("\(Int(median(rates[1])))", 12)
        + column(number(median(zip(rates[0], rates[1]).map { $1 / $0 })), 8)
    )
  }
}

let arguments = Array(CommandLine.arguments.dropFirst())
LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
do {
  switch arguments.first {
  case "registers" where arguments.count > 2:
    guard let count = Int(arguments[1]), count > 0 else {
      throw BenchmarkError("\(arguments[1]) is no number of reads")
    }
    try compareRegisters(count, Array(arguments.dropFirst(2)))
  case "disk" where arguments.count == 5:
    guard let seconds = Double(arguments[1]), seconds > 0, let rounds = Int(arguments[2]),
      rounds > 0
    else { throw BenchmarkError("\(arguments[1]) \(arguments[2]) are no seconds and rounds") }
    try compareDisks(seconds, rounds, arguments[3], arguments[4])
  case "recorded" where arguments.count == 5:
    guard let seconds = Double(arguments[1]), seconds > 0, let rounds = Int(arguments[2]),
      rounds > 0
    else { throw BenchmarkError("\(arguments[1]) \(arguments[2]) are no seconds and rounds") }
    try compareRecorded(seconds, rounds, arguments[3], arguments[4])
  case "recovery" where arguments.count == 3:
    guard let count = Int(arguments[1]), count > 0 else {
      throw BenchmarkError("\(arguments[1]) is no number of kills")
    }
    try Recovery.measure(count, arguments[2])
  default:
    throw BenchmarkError(
      "give registers COUNT NAME=REMOTE..., disk SECONDS ROUNDS FILE REMOTE, recorded SECONDS ROUNDS REMOTE REMOTE "
        + "or recovery COUNT APUS"
    )
  }
} catch {
  _ = try? FileIO.write(STDERR_FILENO, Array("remote-benchmark: error: \(error)\n".utf8)[...])
  exit(1)
}
