import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// Remotes that are started for a device, QEMU's own among them.
@Suite(.timeLimit(.minutes(5))) struct MPQEMUProcessTests {
  private static let hasQEMU = access("/usr/bin/qemu-system-x86_64", X_OK) == 0
  private let log = RecordedLog()

  private func connect(_ command: String) throws -> MPQEMUDevice {
    try MPQEMUDevice(
      MPQEMURemote(.command(command)),
      name: "remote0",
      logger: log.makeLogger()
    )
  }

  private func qemu(_ device: String) throws -> MPQEMUDevice {
    try connect(
      "qemu-system-x86_64 -machine x-remote -nodefaults -display none -device \(device),id=d "
        + "-object x-remote-object,id=r,devid=d,fd={fd}"
    )
  }

  private func function(
    _ device: MPQEMUDevice,
    _ memory: GuestMemory,
    _ line: RecordingResampledLine
  ) throws -> any RemotePCIFunction {
    try device.makeFunction(
      RemoteWiring(
        memory: memory,
        line: line,
        messages: FakeMessageInterrupts(),
        doorbells: FakeDoorbells()
      )
    )
  }

  @Test func theNumberOfTheSocketIsPutWhereItBelongs() {
    #expect(MPQEMURemote.command("a fd={fd},b={fd} c") == "a fd=3,b=3 c")
    #expect(
      MPQEMURemote.command("apus serve disk d --mpqemu fd:") == "apus serve disk d --mpqemu fd:3"
    )
  }

  @Test(.enabled(if: hasQEMU, "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"))
  func theSCSIControllerOfARealRemoteIsDriven() throws {
    let device = try qemu("lsi53c895a")
    let memory = try GuestMemory(count: 4 << 20)
    let line = RecordingResampledLine()
    let proxy = try function(device, memory, line)
    let (trigger, resample) = try #require(line.events)
    #expect(proxy.configuration.vendorID == 0x1000)
    #expect(proxy.configuration.deviceID == 0x0012)
    #expect(
      proxy.configuration.bars == [
        PCIBAR(0, .port, size: 256), PCIBAR(1, .memory32(), size: 1024),
        PCIBAR(2, .memory32(), size: 8192),
      ]
    )
    #expect(proxy.configuration.interruptPin == .a)
    let space = FakePCIAddressSpace()
    let other = PCIRootBus(in: space)
    var allocator = PCIResourceAllocator(
      memory32: PCIWindow(base: 0xC000_0000, size: 0x1000_0000),
      ports: PCIWindow(base: 0xC000, size: 0x1000)
    )
    try allocator.assign(to: proxy)
    let address = PCIAddress(device: 3)
    try other.add(proxy, at: address)
    other.write(7, address, 0x04, width: 2)

    // SCRATCHA, by memory and by port; then the RAM on the chip.
    let registers = other.placements(at: address)
    let (ports, memory1, ram) = (registers[0] ?? 0, registers[1] ?? 0, registers[2] ?? 0)
    #expect(registers.count == 3)
    space.write(0x1234_5678, memory1 + 0x34, width: 4)
    #expect(log.notices == [])
    #expect(space.read(memory1 + 0x34, width: 4) == 0x1234_5678)
    #expect(space.read(ports + 0x35, width: 1, in: .port) == 0x56)
    space.write(0x1122_3344_5566_7788, ram + 0x10, width: 8)
    #expect(space.read(ram + 0x10, width: 8) == 0x1122_3344_5566_7788)

    // A SCRIPT of one instruction, in the guest's memory: interrupt, with 0x77 (LSI53C895A, 5.4).
    try memory.store32(0x9808_0000, at: GuestAddress(0x1000))
    try memory.store32(0x77, at: GuestAddress(0x1004))
    // DIEN: the SCRIPTs interrupt.
    space.write(0x04, memory1 + 0x39, width: 1)
    space.write(0x1000, memory1 + 0x2C, width: 4)
    #expect(waitUntil { isReadable(trigger.rawValue) })
    trigger.drain()
    #expect(space.read(memory1 + 0x30, width: 4) == 0x77)
    // Nobody has served it: it comes again at the end.
    resample.signal()
    #expect(waitUntil { trigger.drain() > 0 })
    // DSTAT says why, and lowers the line.
    #expect(space.read(memory1 + 0x0C, width: 1) & 0x04 != 0)
    resample.signal()
    #expect(waitUntil { !isReadable(resample.rawValue) })
    _ = other.read(address, 0, width: 4)
    #expect(!isReadable(trigger.rawValue))

    // What would end a QEMU remote.
    _ = other.read(address, 0xFF, width: 1)
    other.write(0, address, 0x04, width: 2)
    _ = proxy.readBAR(BusAccess(region: 1, offset: 0, width: 4))
    #expect(other.read(address, 0, width: 4) == 0x0012_1000)
    other.reset()
    #expect(other.read(address, 0x10, width: 4) == ports | 1)

    // The next board's: a QEMU remote takes new memory and eventfds at any time.
    proxy.stop()
    let next = RecordingResampledLine()
    let again = try function(device, try GuestMemory(count: 8 << 20), next)
    #expect(again.readConfiguration(0, width: 4) == 0x0012_1000)
    #expect(next.events != nil)
    #expect(log.notices == [])
  }

  @Test(.enabled(if: hasQEMU, "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"))
  func theTestDeviceOfARealRemoteIsDriven() throws {
    let device = try qemu("pci-testdev")
    let proxy = try function(device, try GuestMemory(count: 4 << 20), RecordingResampledLine())
    #expect(proxy.configuration.vendorID == 0x1B36)
    #expect(proxy.configuration.deviceID == 0x0005)
    #expect(proxy.configuration.bars.map(\.size) == [4096, 256])
    #expect(log.notices == [])
  }

  @Test func aProcessEndsWithItsDevice() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "pid")
    // One that never answers, and does not end by itself.
    #expect(throws: MPQEMUError.unanswered(.writeConfiguration, milliseconds: 300)) {
      try MPQEMUDevice(
        MPQEMURemote(
          .command("sh -c 'echo $$ > \(path); exec sleep 1000' {fd}"),
          firstPatience: 300
        ),
        name: "remote0",
        logger: log.makeLogger()
      )
    }
    let number = try #require(Int32(String(decoding: Self.line(path), as: UTF8.self)))
    // Reaped, and not only dead.
    #expect(kill(number, 0) != 0)
  }

  @Test(arguments: [("sh -c 'exit 7' {fd}", Int32(7)), ("/none/such {fd}", 127)])
  func aProcessThatEndsAtOnceIsNamedWithItsCode(command: String, code: Int32) {
    #expect(throws: MPQEMUError.ended(.exited(code))) { try connect(command) }
    // Whoever connects says so.
    #expect(log.notices == [])
  }

  private static func line(_ path: String) -> [UInt8] {
    guard let file = try? OwnedFileDescriptor(opening: path, O_RDONLY) else { return [] }
    return ((try? FileIO.read(file.rawValue, atMost: 100)) ?? []).filter { $0 != 10 }
  }
}
