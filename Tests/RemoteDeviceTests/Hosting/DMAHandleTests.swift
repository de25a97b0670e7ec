import DeviceModel
import GuestMemory
import HostOS
import Logging
import PCI
import RemoteDevice
import Synchronization
import Testing
import TestSupport

/// An author's function and its way to the guest's memory.
@Suite struct DMAHandleTests {
  private final class Copier: PCIFunction {
    let name = "copier"
    let configuration = PCIConfigurationSpace(
      PCIIdentity(vendorID: 1, deviceID: 2, classCode: 0xFF0000)
    )
    let dma: DMAHandle

    init(_ dma: DMAHandle) { self.dma = dma }

    func readBAR(_ access: BusAccess) -> UInt64 { 0 }
    func writeBAR(_ value: UInt64, _ access: BusAccess) {}
    func reset() {}
  }

  private final class FakePeer: DMAPeer {
    let written = Mutex<[UInt64: [UInt8]]>([:])

    func readMemory(at address: UInt64, count: Int) throws(DMAError) -> [UInt8] {
      guard address < 0x10000 else { throw .timedOut(address: address) }
      return [UInt8](repeating: UInt8(truncatingIfNeeded: address >> 12), count: count)
    }

    func writeMemory(_ bytes: [UInt8], at address: UInt64) throws(DMAError) {
      written.withLock { $0[address] = bytes }
    }
  }

  private let file: MemoryFile
  private let function: HostedFunction
  private let peer = FakePeer()
  private var dma: DMAHandle

  init() throws {
    file = try MemoryFile(count: 0x3000)
    var handle: DMAHandle?
    function = try HostedFunction(line: RecordingLine(), logger: Logger(label: "test")) {
      handle = $0.dma
      return Copier($0.dma)
    }
    dma = try #require(handle)
    var memory = HostedMemory(fault: try EventFD())
    try memory.map(0x1000, size: 0x2000, access: [.read, .write], file.descriptor.duplicated())
    try memory.map(0x3000, size: 0x1000, access: [.read, .write])
    try memory.map(0x4000, size: 0x1000, access: .read)
    try memory.map(0x10000, size: 0x1000, access: .read)
    function.use(memory, peer: peer)
  }

  @Test func nothingIsReachedWhileBusMasterIsOff() throws {
    #expect(throws: DMAError.notBusMaster) { try dma.read(at: GuestAddress(0x1000), count: 1) }
    #expect(throws: DMAError.notBusMaster) { try dma.write([1], at: GuestAddress(0x1000)) }
  }

  @Test func mappedMemoryAndThePeersAreOne() throws {
    function.writeConfiguration(4, 4, width: 2)
    try dma.write([UInt8](repeating: 7, count: 0x1800), at: GuestAddress(0x2000))

    #expect(try file.bytes(at: 0x1000, count: 0x1000).allSatisfy { $0 == 7 })
    #expect(peer.written.withLock { $0[0x3000] } == [UInt8](repeating: 7, count: 0x800))
    #expect(try dma.read(at: GuestAddress(0x2FFF), count: 2) == [7, 3])
    #expect(try dma.read(at: GuestAddress(0x3FFF), count: 2) == [3, 4])
    #expect(try dma.read(at: GuestAddress(0x1000), count: 0) == [])
  }

  @Test func whatIsNotMemoryIsRefusedWhole() throws {
    function.writeConfiguration(4, 4, width: 2)

    #expect(throws: DMAError.notMapped(address: 0x4FFF, count: 2)) {
      try dma.read(at: GuestAddress(0x4FFF), count: 2)
    }
    #expect(throws: DMAError.notMapped(address: 0xFFF, count: 2)) {
      try dma.write([1, 2], at: GuestAddress(0xFFF))
    }
    #expect(throws: DMAError.notMapped(address: .max, count: 2)) {
      try dma.read(at: GuestAddress(.max), count: 2)
    }
    #expect(throws: DMAError.notAllowed(address: 0x3FFF, count: 2)) {
      try dma.write([1, 2], at: GuestAddress(0x3FFF))
    }
    #expect(peer.written.withLock { $0.isEmpty })
    #expect(throws: DMAError.timedOut(address: 0x10000)) {
      try dma.read(at: GuestAddress(0x10000), count: 1)
    }
  }

  @Test func afterThePeerHasGoneNothingIsThere() throws {
    function.writeConfiguration(4, 4, width: 2)
    function.release()

    #expect(throws: DMAError.notBusMaster) { try dma.read(at: GuestAddress(0x1000), count: 1) }
    function.writeConfiguration(4, 4, width: 2)
    #expect(throws: DMAError.notMapped(address: 0x1000, count: 1)) {
      try dma.read(at: GuestAddress(0x1000), count: 1)
    }
  }
}
