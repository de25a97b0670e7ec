import CLinux
import HostOS
import Virtio

/// Deals a machine's queues out to its threads.
struct QueueThreads {
  /// How a device's own threads wait.
  let polling: QueuePolling
  private let threads: [QueueThread]
  private var next = 0

  /// Starts the threads that were asked for.
  init(_ configuration: MachineConfiguration) throws(SystemError) {
    let options = configuration.queues
    let isRoomy = Int(apus_cpu_count()) > configuration.processorCount
    polling =
      if let limit = options.polling {
        QueuePolling(limit: UInt64(limit) * 1000)
      } else {
        isRoomy ? .adaptive : .off
      }
    var threads: [QueueThread] = []
    for number in 0..<options.threadCount {
      threads.append(try QueueThread("queues-\(number)", polling: polling))
    }
    self.threads = threads
  }

  /// The threads of a device with so many groups of queues, in the order in which it takes them; none if
  /// it is to have its own.
  mutating func take(_ count: Int) -> [QueueThread] {
    guard !threads.isEmpty else { return [] }
    defer { next = (next + count) % threads.count }
    return Array(threads[next...] + threads[..<next])
  }
}
