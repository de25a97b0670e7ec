// Fuzzes the device's side of a queue, split or packed: whatever the driver does, the queue says so
// or serves.
import CFuzzer
import FuzzSupport
import GuestMemory
import Virtio

nonisolated(unsafe) let driver = try ScriptedDriver()
// Where chains under way are noted, which the other side may write as well.
let shared = try GuestMemory(count: 1 << 21)

/// A new region for queues like this one.
func makeRegion(_ configuration: VirtqueueConfiguration) -> InflightRegion? {
  let region = InflightRegion(
    shared,
    queueCount: configuration.index + 1,
    queueSize: configuration.size,
    isPacked: configuration.isPacked
  )
  let count = InflightRegion.byteCount(
    queueCount: configuration.index + 1,
    queueSize: configuration.size,
    isPacked: configuration.isPacked
  )
  try? shared.zero(GuestAddress(0), count: count)
  return region
}

/// Writes into the region.
func scribble(_ script: inout Script) {
  let place = GuestAddress(UInt64(script.byte()) << 2 | UInt64(script.byte()) & 3)
  try? shared.store8(script.byte(), at: place)
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  var configuration = try driver.begin(&script)
  if script.byte() & 1 == 1 { configuration.inflight = makeRegion(configuration) }
  var queue = try Virtqueue(configuration, in: driver.memory)
  var chain = DescriptorChain(in: driver.memory)
  var vector = GuestIOVector(driver.memory)
  var buffer = [UInt8](repeating: 0x5A, count: 700)
  var tickets: [(ChainTicket, UInt32)] = []
  while !script.isAtEnd {
    try driver.step(&script, size: configuration.size)
    if configuration.inflight != nil {
      let what = script.byte()
      if what & 15 == 0 { scribble(&script) }
      if what & 31 == 1 {
        // It dies, and another takes over.
        try configuration.setRingBase(0, in: driver.memory)
        configuration.state.available = configuration.state.used
        queue = try Virtqueue(configuration, in: driver.memory)
        tickets = []
      }
    }
    guard script.byte() & 3 == 0 else { continue }
    // At most as many as the queue has entries are out at a time.
    for _ in 0...configuration.size {
      guard try queue.pop(into: &chain) else { break }
      let (readable, writable) = (chain.readableCount, chain.writableCount)
      precondition(readable + writable <= 1 << 32, "a chain of \(readable) and \(writable) bytes")
      let read = chain.read(into: &buffer)
      precondition(UInt64(read) == min(readable, UInt64(buffer.count)), "read \(read)")
      _ = chain.readWord(UInt32.self)
      vector.removeAll()
      let rest = chain.readableCount
      precondition(chain.appendReadable(to: &vector, count: .max) == rest, "short vector")
      precondition(vector.count == rest && chain.readableCount == 0, "vector of \(vector.count)")
      let room = min(writable, 300)
      precondition(chain.write(buffer, count: 300) == Int(room), "short write")
      if chain.writableCount > 0 { chain.skipWritable(chain.writableCount - 1) }
      _ = chain.write(1)
      precondition(chain.writableCount == 0, "\(chain.writableCount) bytes left")
      tickets.append((chain.ticket, UInt32(clamping: writable)))
      precondition(tickets.count <= configuration.size, "\(tickets.count) chains are out")
    }
    // In any order, and not always all.
    let order = script.byte()
    while !tickets.isEmpty, order & 3 != 0 || tickets.count > 2 {
      let (ticket, written) = tickets.remove(at: Int(order) % tickets.count)
      queue.complete(ticket, written: written)
    }
    queue.publish()
    _ = queue.needsInterrupt()
    queue.disableNotifications()
    _ = queue.enableNotifications()
  }
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    // What the driver did wrong is thrown; anything else ends the process.
    try? run(UnsafeBufferPointer(start: data, count: size))
    return 0
  }
}
