import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Logging
import PCI
import RemoteDevice
import Virtio

/// How long a disk is away whose process is killed.
enum Recovery {
  /// Kills the process of a disk that serves requests, `count` times, and prints the times from each kill until another had taken
  /// over, until a register was read, and until a request was done.
  static func measure(_ count: Int, _ apus: String) throws {
    let logger = Logger(label: "disk0") { _ in SwiftLogNoOpLogHandler() }
    let state = try GuestMemory(count: VirtioStateFile.byteCount)
    guard let file = state.file.borrow({ $0.rawValue }) else {
      throw BenchmarkError("there is no file for the device's state")
    }
    let process = try DeviceSupervisor(
      "disk0",
      DeviceProgram(
        apus,
        [
          "apus", "serve", "disk", "null:512M", "--vfio-user", "fd:3", "--state", "fd:4",
          "--supervised", "--log-level", "error",
        ],
        descriptors: [file]
      ),
      logger: logger
    )
    let maker = try VfioUserRemote(
      VfioUserRemote.Options(source: process, name: "disk0", takesOver: true),
      logger: logger
    )
    let (memory, wiring) = (try GuestMemory(count: 64 << 20), Wiring())
    let function = try makeFunction(maker, memory, wiring)
    let driver = try Driver(
      function,
      wiring,
      memory,
      byteCount: 512 << 20,
      depth: 32,
      count: 4096,
      isWrite: false
    )
    var times: [[Double]] = [[], [], []]
    for _ in 0..<count {
      // Long enough for the death not to count as one of a row.
      _ = try driver.measure(seconds: 0.35)
      guard case .running(let id) = process.phase else { throw BenchmarkError("it does not run") }
      let begin = MonotonicClock.nanoseconds
      kill(id, SIGKILL)
      // Requests are under way; this one waits for the next process.
      while case .running(id) = process.phase { usleep(20) }
      _ = function.readBAR(BusAccess(region: 0, offset: 0, width: 4))
      let read = MonotonicClock.nanoseconds
      try driver.waitForAnother()
      let done = MonotonicClock.nanoseconds
      guard let since = process.servedSince, since > begin else {
        throw BenchmarkError("nobody has taken over")
      }
      for (index, end) in [since, read, done].enumerated() {
        times[index].append(Double(end - begin) / 1e6)
      }
    }
    for (name, values) in zip(["taken over", "a register is read", "a request is done"], times) {
      print(
        label(name, 28) + column(number(median(values)), 12)
          + column(number(values.max() ?? 0), 12)
      )
    }
    driver.end()
    function.stop()
    withExtendedLifetime((maker, state)) {}
  }
}
