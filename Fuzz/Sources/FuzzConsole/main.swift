// Fuzzes the queues of a console with ports, control messages among them.
import CFuzzer
import FuzzSupport
import HostOS
import Virtio

/// The host's end of a port.
final class End {
  let near: OwnedFileDescriptor
  let far: OwnedFileDescriptor

  init() throws {
    let pair = try SocketPair()
    near = try pair.near.duplicated()
    far = try pair.far.duplicated()
    for number in [near.rawValue, far.rawValue] { try FileIO.setNonBlocking(number) }
  }

  func makePort(_ name: String?) throws -> ConsolePort {
    ConsolePort(name: name, input: try far.duplicated(), output: try far.duplicated())
  }

  /// Takes what is on its way.
  func drain() {
    while let bytes = try? FileIO.read(near.rawValue, atMost: 65536), !bytes.isEmpty {}
    while let bytes = try? FileIO.read(far.rawValue, atMost: 65536), !bytes.isEmpty {}
  }
}

nonisolated(unsafe) let ends = try (0..<3).map { _ in try End() }
let console = try Console(
  ends[0].makePort(nil),
  ports: [ends[1].makePort("first"), ends[2].makePort("second")],
  size: (80, 25)
)

/// A control message on its queue, output on others.
func message(_ script: inout Script, _ queue: Int) -> [UInt8] {
  guard queue == 3 else {
    return [UInt8](repeating: script.byte(), count: Int(script.byte()) * 4)
  }
  let port = script.byte()
  return [port & 7, 0, 0, port >> 7, script.byte() % 10, 0, script.byte() & 1, 0]
}

func event(_ script: inout Script) {
  let choice = script.byte()
  let number = Int(choice >> 3) % ends.count
  switch choice & 7 {
  case 0, 1: console.setHostEnd(of: number, open: choice & 1 == 1)
  case 2: console.resize(columns: script.word16(), rows: 25)
  case 3: _ = console.readConfiguration(offset: script.word64(), width: Int(script.byte() % 9))
  case 4: ends[number].drain()
  default:
    let bytes = [UInt8](repeating: 7, count: Int(script.byte()))
    _ = try? FileIO.write(ends[number].near.rawValue, bytes[...])
  }
}

nonisolated(unsafe) let device = try ScriptedDevice(
  ScriptedDevice.Target(
    queueCount: 8,
    features: [.consoleMultiport, .consoleSize],
    makeService: { console.makeService($0) },
    message: message,
    event: { event(&$0) }
  )
)

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    // What the driver did wrong is thrown; anything else ends the process.
    try? device.run(&script)
    console.reset()
    for number in ends.indices {
      ends[number].drain()
      console.setHostEnd(of: number, open: true)
    }
    return 0
  }
}
