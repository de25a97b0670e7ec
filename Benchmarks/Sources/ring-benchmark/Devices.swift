import CRingPeer
import Virtio

/// The device's side of a queue: takes up to so many chains, gives each back, and shows them.
protocol Device: ~Copyable {
  /// Makes the device of a field.
  init(_ field: Field, _ shape: Shape) throws
  /// Takes and gives back at most `count` chains, and returns how many.
  mutating func run(_ count: Int) -> Int
  /// How many interrupts the driver asked for.
  var interrupts: UInt32 { get }
}

/// Ours.
struct Ours: Device, ~Copyable {
  private var queue: Virtqueue
  private var chain: DescriptorChain
  private(set) var interrupts: UInt32 = 0

  init(_ field: Field, _ shape: Shape) throws {
    queue = try field.makeQueue(shape)
    chain = DescriptorChain(in: field.memory)
  }

  mutating func run(_ count: Int) -> Int {
    var done = 0
    while done < count, (try? queue.pop(into: &chain)) == true {
      queue.complete(chain, written: 0)
      done += 1
    }
    guard done > 0 else { return 0 }
    queue.publish()
    if queue.needsInterrupt() { interrupts += 1 }
    return done
  }
}

/// The same in C.
@safe
struct Peer: Device, ~Copyable {
  private let device: UnsafeMutablePointer<ring_device>
  private(set) var interrupts: UInt32 = 0

  init(_ field: Field, _ shape: Shape) {
    unsafe device = .allocate(capacity: 1)
    unsafe device.initialize(to: ring_device())
    var layout = unsafe field.layout
    unsafe ring_device_init(device, &layout)
  }

  deinit { unsafe device.deallocate() }

  mutating func run(_ count: Int) -> Int {
    let done = unsafe ring_device_run(device, UInt32(count), &interrupts)
    precondition(done >= 0, "the C device found a fault")
    return Int(done)
  }
}
