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
func makeDisk() throws -> DiskImage {
  var name = Array("/tmp/apus-fuzz-XXXXXX".utf8CString)
  let number = mkstemp(&name)
  precondition(number >= 0 && ftruncate(number, 64 * 512) == 0, "no temporary file")
  let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  let disk = try DiskImage(opening: path)
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
nonisolated(unsafe) let block = Block(try makeDisk(), name: "disk")

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let configuration = try driver.begin(&script)
  var features = configuration.features
  if script.byte() & 1 == 0 { features.insert(.blockFlush) }
  let service = block.makeService(
    VirtioActivation(
      features: features,
      memory: driver.memory,
      queues: [configuration],
      signals: signals
    )
  )
  var queue = try Virtqueue(configuration, in: driver.memory)
  while !script.isAtEnd {
    try driver.step(&script, size: configuration.size)
    guard script.byte() & 3 == 0 else { continue }
    _ = try service.serve(&queue)
    queue.publish()
    precondition(queue.state.available == queue.state.used, "unanswered: \(queue.state)")
    _ = queue.needsInterrupt()
  }
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    // What the driver did wrong is thrown; anything else ends the process.
    try? run(UnsafeBufferPointer(start: data, count: size))
    return 0
  }
}
