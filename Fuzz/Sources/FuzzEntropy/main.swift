// Fuzzes requests for random bytes.
import CFuzzer
import FuzzSupport
import Virtio

nonisolated(unsafe) let device = try ScriptedDevice(
  ScriptedDevice.Target(
    queueCount: 1,
    features: [],
    makeService: { try Entropy().makeService($0) },
    message: { script, _ in [script.byte()] },
    event: { _ in }
  )
)

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    // What the driver did wrong is thrown; anything else ends the process.
    try? device.run(&script)
    return 0
  }
}
