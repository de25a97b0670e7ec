// Fuzzes the device's side of a queue, split or packed: whatever the driver does, the queue says so
// or serves.
import CFuzzer
import FuzzSupport
import GuestMemory
import Virtio

nonisolated(unsafe) let driver = try ScriptedDriver()

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let configuration = try driver.begin(&script)
  var queue = try Virtqueue(configuration, in: driver.memory)
  var chain = DescriptorChain(in: driver.memory)
  var vector = GuestIOVector(driver.memory)
  var buffer = [UInt8](repeating: 0x5A, count: 700)
  var tickets: [(ChainTicket, UInt32)] = []
  while !script.isAtEnd {
    try driver.step(&script, size: configuration.size)
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
