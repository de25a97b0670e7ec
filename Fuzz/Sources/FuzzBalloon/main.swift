// Fuzzes the queues and the configuration of a memory balloon.
import CFuzzer
import FuzzSupport
import Virtio

let balloon = try Balloon()

/// Numbers of pages, of which most are there, or what a driver tells of its memory.
func message(_ script: inout Script) -> [UInt8] {
  var bytes: [UInt8] = []
  for _ in 0..<(script.byte() & 15) {
    let kind = script.byte()
    let number = kind & 1 == 0 ? UInt32(script.byte() % 64) : script.word32()
    for index in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * index))) }
    if kind & 6 == 2 { bytes.append(kind) }
  }
  return bytes
}

func event(_ script: inout Script) {
  switch script.byte() % 4 {
  case 0: balloon.setTarget(UInt64(script.word32()) << 8)
  case 1: balloon.requestStatistics()
  case 2: _ = balloon.readConfiguration(offset: script.word64(), width: Int(script.byte() % 9))
  default:
    balloon.writeConfiguration(
      script.word64(),
      offset: UInt64(script.byte() % 20),
      width: Int(script.byte() % 9)
    )
  }
}

nonisolated(unsafe) let device = try ScriptedDevice(
  ScriptedDevice.Target(
    queueCount: 5,
    features: balloon.features,
    makeService: { balloon.makeService($0) },
    message: { script, _ in message(&script) },
    event: { event(&$0) }
  )
)

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    balloon.reset()
    // What the driver did wrong is thrown; anything else ends the process.
    try? device.run(&script)
    return 0
  }
}
