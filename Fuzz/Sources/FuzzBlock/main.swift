// Fuzzes block requests: every chain is answered or refused, and the disk keeps its size.
import CFuzzer
import FuzzSupport
import Glibc
import GuestMemory
import Logging
import Virtio

final class NoInterrupts: VirtioInterrupts {
  func signalQueue(_ index: Int) {}
  func signalConfigurationChange() {}
  func reset() {}
}

/// Makes a disk of 64 sectors that goes away with the process.
func makeDisk(_ engine: DiskImage.Engine) throws -> DiskImage {
  var name = Array("/tmp/apus-fuzz-XXXXXX".utf8CString)
  let number = mkstemp(&name)
  precondition(number >= 0 && ftruncate(number, 64 * 512) == 0, "no temporary file")
  let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  let disk = try DiskImage(opening: path, DiskImage.Options(engine: engine))
  unlink(path)
  close(number)
  return disk
}

nonisolated(unsafe) let driver = try ScriptedDriver()
nonisolated(unsafe) let signals = VirtioSignals(
  "disk",
  interrupts: NoInterrupts(),
  logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
)
/// Disks whose requests are done in different ways.
nonisolated(unsafe) let blocks = [
  Block(try makeDisk(.ring), name: "ring"), Block(try makeDisk(.calls), name: "calls"),
  Block(DiskSource(NullDisk(count: 64 * 512)), name: "null"),
]
// By disk and features: making one costs much more than a run.
nonisolated(unsafe) var services: [[UInt64]: any QueueService] = [:]

func makeService(_ number: Int, _ features: VirtioFeatures) -> any QueueService {
  if let service = services[[UInt64(number), features.rawValue]] { return service }
  let activation = VirtioActivation(
    features: features,
    memory: driver.memory,
    queues: [],
    signals: signals
  )
  let service = blocks[number].makeService(activation)
  services[[UInt64(number), features.rawValue]] = service
  return service
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let configuration = try driver.begin(&script)
  let choice = script.byte()
  var features: VirtioFeatures = [.version1, .blockDiscard, .blockWriteZeroes]
  if choice & 1 == 0 { features.insert(.blockFlush) }
  let service = makeService(Int(choice >> 1) % blocks.count, features)
  var queue = try Virtqueue(configuration, in: driver.memory)
  defer {
    service.finish(&queue)
    // Whatever the driver did: nothing stays under way.
    precondition(service.completions.map { !isReadable($0) } ?? true, "completions are left")
  }
  while !script.isAtEnd {
    try driver.step(&script, size: configuration.size)
    guard script.byte() & 3 == 0 else { continue }
    _ = try service.serve(&queue)
    queue.publish()
    guard script.byte() & 1 == 0 else { continue }
    service.finish(&queue)
    queue.publish()
    precondition(queue.state.available == queue.state.used, "unanswered: \(queue.state)")
    _ = queue.needsInterrupt()
  }
}

func isReadable(_ number: Int32) -> Bool {
  var item = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
  return poll(&item, 1, 0) > 0
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    // What the driver did wrong is thrown; anything else ends the process.
    try? run(UnsafeBufferPointer(start: data, count: size))
    return 0
  }
}
