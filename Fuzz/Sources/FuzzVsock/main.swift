// Fuzzes a socket device: the guest's packets, and programs of the host that come, talk and go.
import CFuzzer
import FuzzSupport
import Glibc
import HostOS
import Virtio

/// Programs of the host: one that listens on port 80, and those that are connected.
final class Programs {
  let path: String
  private let folder: String
  private let listener: UnixListener
  private var clients: [Int32] = []

  init() throws {
    var name = Array("/tmp/apus-fuzz-XXXXXX".utf8CString)
    precondition(mkdtemp(&name) != nil, "no temporary folder")
    folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = folder + "/v"
    listener = try UnixListener(path: path + "_80", backlog: 16)
  }

  func accept() {
    while clients.count < 16, let client = listener.accept() { clients.append(client.release()) }
  }

  /// Connects to the guest, and says a line or something like it.
  func connect(_ script: inout Script) {
    guard clients.count < 16, let client = try? UnixSocket.connect(to: path) else { return }
    let kind = script.byte()
    let text = kind & 3 == 0 ? "CONNECT x\n" : "CONNECT \(kind & 7)\n"
    _ = try? FileIO.write(client.rawValue, Array(text.utf8.prefix(kind & 0x80 == 0 ? 64 : 5))[...])
    clients.append(client.release())
  }

  func act(_ script: inout Script) {
    let choice = script.byte()
    guard !clients.isEmpty else { return }
    let place = Int(choice >> 3) % clients.count
    let number = clients[place]
    switch choice & 7 {
    case 0: shutdown(number, Int32(SHUT_WR))
    case 1: shutdown(number, Int32(SHUT_RD))
    case 2:
      close(number)
      clients.remove(at: place)
    case 3, 4: _ = try? FileIO.read(number, atMost: 65536)
    default:
      let bytes = [UInt8](repeating: 9, count: 64 * Int(script.byte()))
      _ = try? FileIO.write(number, bytes[...])
    }
  }

  /// Leaves nothing behind.
  func remove() {
    for name in ["v", "v_80"] { unlink("\(folder)/\(name)") }
    rmdir(folder)
  }

  func clear() {
    accept()
    for number in clients { close(number) }
    clients = []
    accept()
    for number in clients { close(number) }
    clients = []
  }
}

nonisolated(unsafe) let programs = try Programs()
let vsock = try Vsock(VsockSockets(path: programs.path), guestCID: 3)

/// A packet whose ports are those of connections that there may be.
func message(_ script: inout Script, _ queue: Int) -> [UInt8] {
  var bytes: [UInt8] = []
  func append(_ value: UInt64, _ count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
  }
  let kind = script.byte()
  let count = UInt64(script.byte() & 63) * 16
  append(kind & 7 == 7 ? UInt64(script.byte()) : 3, 8)
  append(kind >> 3 & 7 == 7 ? UInt64(script.byte()) : 2, 8)
  let ports = script.byte()
  append(UInt64(ports & 7), 4)
  // Port 80, or those that programs which connect get.
  append(ports & 8 == 0 ? 80 : 1 << 30 + UInt64(ports >> 4 & 3), 4)
  append(kind & 0x40 == 0 ? count : UInt64(script.word32()), 4)
  append(kind & 0x80 == 0 ? 1 : UInt64(script.byte()), 2)
  append(UInt64(script.byte() % 9), 2)
  append(UInt64(script.byte() & 3), 4)
  let credit = script.byte()
  append(credit & 1 == 0 ? 65536 : UInt64(script.word32()), 4)
  append(credit & 2 == 0 ? 0 : credit & 4 == 0 ? UInt64(script.byte()) : UInt64(script.word32()), 4)
  return bytes + [UInt8](repeating: 5, count: Int(count))
}

func event(_ script: inout Script) {
  switch script.byte() % 8 {
  case 0: programs.connect(&script)
  case 1, 2: programs.accept()
  case 3: if script.byte() & 7 == 0 { vsock.resetTransport() }
  default: programs.act(&script)
  }
}

nonisolated(unsafe) let device = try ScriptedDevice(
  ScriptedDevice.Target(
    queueCount: 3,
    features: vsock.features,
    makeService: { try vsock.makeService($0) },
    message: message,
    event: { event(&$0) }
  )
)

signal(SIGPIPE, SIG_IGN)
atexit { programs.remove() }
runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    // What the driver did wrong is thrown; anything else ends the process.
    try? device.run(&script)
    programs.clear()
    return 0
  }
}
