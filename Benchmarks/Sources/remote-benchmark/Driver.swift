import CDiskPeer
import DeviceModel
import GuestMemory
import HostOS
import PCI

/// A driver of a virtio disk over PCI that keeps a number of requests under way, wherever the device is.
@safe
final class Driver {
  private struct Structure {
    var bar = 0
    var offset: UInt64 = 0
  }

  static let address: UInt64 = 0xE000_0000
  private let memory: GuestMemory
  private let function: any PCIFunction
  private let wiring: Wiring
  private let doorbell: UInt64
  // Another process has another one.
  private var kick: EventFD
  private let interrupt: EventFD
  private var driver: disk_driver

  /// Starts the device as its driver would, with one queue and a message for it.
  init(
    _ function: any PCIFunction,
    _ wiring: Wiring,
    _ memory: GuestMemory,
    byteCount: UInt64,
    depth: Int,
    count: Int,
    isWrite: Bool
  ) throws {
    self.memory = memory
    self.wiring = wiring
    self.function = function
    let (descriptors, available, used) = (UInt64(0x10000), UInt64(0x20000), UInt64(0x30000))
    // Memory and bus master (PCI 3.0, 6.2.2).
    function.writeConfiguration(UInt32(Self.address), 0x10, width: 4)
    function.writeConfiguration(6, 4, width: 2)
    var common = Structure()
    var notify = Structure()
    var place = Int(function.readConfiguration(0x34, width: 1))
    var table: UInt64 = 0
    while place != 0 {
      let kind = function.readConfiguration(place, width: 1)
      if kind == 9 {
        let structure = Structure(
          bar: Int(function.readConfiguration(place + 4, width: 1)),
          offset: UInt64(function.readConfiguration(place + 8, width: 4))
        )
        switch function.readConfiguration(place + 3, width: 1) {
        case 1: common = structure
        case 2: notify = structure
        default: break
        }
      } else if kind == 0x11 {
        table = UInt64(function.readConfiguration(place + 4, width: 4)) & ~7
        function.writeConfiguration(0x8000, place + 2, width: 2)
      }
      place = Int(function.readConfiguration(place + 1, width: 1))
    }
    precondition(common.bar == notify.bar, "two BARs")
    function.barDidMove(common.bar, to: Self.address)
    func write(_ value: UInt64, _ offset: UInt64, _ width: Int) {
      // As a bus does.
      if let msix = function.msix, msix.bar == common.bar, msix.contains(offset) {
        return msix.write(value, offset, width: width)
      }
      function.writeBAR(value, BusAccess(region: common.bar, offset: offset, width: width))
    }
    func set(_ value: UInt64, _ register: UInt64, _ width: Int) {
      write(value, common.offset + register, width)
    }
    // Vector 1: an address of the local APICs, unmasked (PCI 3.0, 6.8.2).
    write(0xFEE0_0000, table + 16, 4)
    write(0, table + 20, 4)
    write(0x30, table + 24, 4)
    write(0, table + 28, 4)
    // Virtio 1.2, 3.1.1 and 4.1.4.3.
    set(0, 20, 1)
    set(1, 20, 1)
    set(3, 20, 1)
    set(0, 8, 4)
    set(0, 12, 4)
    set(1, 8, 4)
    set(1, 12, 4)
    set(11, 20, 1)
    set(0, 22, 2)
    let size = function.readBAR(
      BusAccess(region: common.bar, offset: common.offset + 24, width: 2)
    )
    guard size >= 3 * depth else {
      throw BenchmarkError("a queue of \(size) has no room for \(depth) requests")
    }
    set(1, 26, 2)
    for (register, address) in [(32, descriptors), (40, available), (48, used)]
      as [(UInt64, UInt64)]
    {
      set(address & 0xFFFF_FFFF, register, 4)
      set(address >> 32, register + 4, 4)
    }
    try memory.write([UInt8](repeating: 0, count: 0x30000), at: GuestAddress(descriptors))
    set(1, 28, 2)
    set(15, 20, 1)
    doorbell = Self.address + notify.offset
    guard let kick = wiring.doorbell(at: doorbell) else {
      throw BenchmarkError("the device has no doorbell for its queue")
    }
    guard let interrupt = wiring.message(0x30) else {
      throw BenchmarkError("the device has no message for its queue")
    }
    (self.kick, self.interrupt) = (kick, interrupt)
    unsafe driver = disk_driver()
    unsafe driver.memory = UnsafeMutablePointer(
      bitPattern: memory.unsafeHostAddress(of: memory.regions[0])
    )
    unsafe driver.descriptors = descriptors
    unsafe driver.available = available
    unsafe driver.used = used
    unsafe driver.data = 0x100000
    unsafe driver.size = UInt32(size)
    unsafe driver.depth = UInt32(depth)
    unsafe driver.count = UInt32(count)
    unsafe driver.blocks = byteCount / UInt64(count)
    unsafe driver.is_write = isWrite ? 1 : 0
    unsafe disk_driver_init(&driver)
    unsafe disk_driver_start(&driver)
    kick.signal()
  }

  /// Requests a second, and the time of one in seconds, by a driver that sleeps until it is interrupted.
  func measure(seconds: Double) throws -> Double {
    var done = 0
    let start = now()
    var time = 0.0
    while true {
      unsafe disk_driver_disarm(&driver)
      while true {
        let count = try turn()
        done += count
        if count == 0 { break }
      }
      if unsafe disk_driver_arm(&driver) == 0 {
        var list = PollList()
        let index = list.add(interrupt.rawValue, for: .readable)
        list.wait(timeout: 5000)
        guard list.isReady(index) else { throw BenchmarkError("no interrupt in 5 s") }
        _ = interrupt.drain()
      }
      time = now() - start
      if time >= seconds { break }
    }
    return Double(done) / time
  }

  /// Takes back what has been done, makes as much available, and waits until one more is done.
  ///
  /// The device may have changed its process before.
  func waitForAnother() throws {
    guard let kick = wiring.doorbell(at: doorbell) else {
      throw BenchmarkError("the device has no doorbell for its queue any more")
    }
    self.kick = kick
    while try turn() > 0 {}
    while true {
      if unsafe disk_driver_arm(&driver) == 0 {
        var list = PollList()
        let index = list.add(interrupt.rawValue, for: .readable)
        list.wait(timeout: 5000)
        guard list.isReady(index) else { throw BenchmarkError("no interrupt in 5 s") }
        _ = interrupt.drain()
      }
      unsafe disk_driver_disarm(&driver)
      // The interrupt may be that of a process before.
      if try turn() > 0 { return }
    }
  }

  private func turn() throws -> Int {
    let count = Int(unsafe disk_driver_turn(&driver))
    guard count >= 0 else { throw BenchmarkError("a request failed") }
    if count > 0, unsafe disk_driver_needs_kick(&driver) != 0 { kick.signal() }
    return count
  }

  /// Leaves the device as at power-on.
  func end() {
    function.barDidMove(0, to: nil)
    function.reset()
  }
}
