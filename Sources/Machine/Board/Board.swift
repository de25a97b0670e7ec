import DeviceModel
import GuestMemory
import HostOS
import Interrupts
import Logging
import PCI
import Platform
import RemoteDevice
import Virtio

/// The machine without its processors: memory, buses and devices, wired as the guest finds them.
///
/// Built and taken down by the machine's main thread; between the two, vCPU threads reach the devices
/// through the buses, and the devices' own threads reach memory and the plane.
final class Board {
  /// What devices are attached to on the host's side.
  struct Attachments {
    /// Where the first serial port sends its bytes; `nil` if there is no such port.
    var serial: (any SerialBackend)?
    /// The device behind the virtio console; `nil` if there is none.
    var console: Console?
    /// What the disks store their sectors in, in order; `nil` opens that now.
    var disks: [DiskSource]?
    /// What the network interfaces are connected to, in order; those that are missing lead nowhere.
    var networks: [any NetBackend] = []
    /// The host's side of the guest's sockets; `nil` if there are none.
    var sockets: VsockSockets?
    /// The devices that other processes serve, in order; those that are missing do nothing.
    var remotes: [RemoteLink.Device] = []
    /// The devices that whoever runs the machine brings along.
    var models: [PCIDeviceModel] = []
    /// The devices of ours that have processes of their own; `nil` if none has.
    var isolated: IsolatedDevices?
    /// Who lets the guest reach memory of devices by itself; `nil` if nobody does.
    var mapper: (any MemoryMapper)?
    /// Who takes power-off, reset and exit.
    var system: any SystemControl
    /// The time.
    var clock: any DeviceClock
  }

  let configuration: MachineConfiguration
  let map: MemoryMap
  let memory: GuestMemory
  let memoryBus = Bus(.memory)
  let portBus = Bus(.port)
  let plane: any MachinePlane
  let powerManagement: ACPIPowerManagement
  let serial: Serial16550?
  let pci: PCIRootBus
  /// The devices that nobody else asks for anything, for their state.
  private(set) var platform = PlatformDevices()

  /// What the guest finds on which interrupt, for the description.
  private(set) var interrupts: [(name: String, gsi: GSI)] = []
  /// The disks, in order.
  var disks: [Block] = []
  /// The network interfaces, and the balloon, for the report.
  var networks: [Net] = []
  var balloon: Balloon?
  /// The processes of devices of ours; `nil` if none has one.
  let isolated: IsolatedDevices?
  /// The PCI functions that other processes serve.
  var remoteFunctions: [any RemotePCIFunction] = []
  /// The devices that whoever runs the machine has brought along.
  var deviceFunctions: [PCIDeviceFunction] = []
  private var interruptEvents: InterruptEvents?
  /// Who lets the guest reach memory of devices by itself.
  private(set) var mapper: (any MemoryMapper)?
  /// The virtio devices' registers, whatever transport they are behind.
  var controllers: [VirtioDeviceController] = []
  /// The memory-mapped transports, for the firmware's tables.
  var virtioMMIO: [ACPIConfiguration.VirtioMMIO] = []
  /// What reaches the PCI bus from the buses that the PCI bus itself holds.
  private var configurationTickets: [(bus: Bus, registration: BusRegistration)] = []

  /// The interrupt of the fixed power button (ACPI 6.5, 5.2.9, SCI_INT).
  static var systemControlInterrupt: UInt8 { 9 }
  static var powerManagementPort: UInt64 { 0x600 }
  private static var busCount: Int { Int(MemoryMap.ecam.byteCount >> 20) }

  /// Builds the board that `configuration` describes.
  ///
  /// - Throws: What is wrong with the configuration, or with the host.
  init(
    _ configuration: MachineConfiguration,
    physicalAddressBits: Int,
    plane: any MachinePlane,
    attachments: Attachments
  ) throws {
    self.configuration = configuration
    self.plane = plane
    mapper = attachments.mapper
    map = try MemoryMap(size: configuration.memory, physicalAddressBits: physicalAddressBits)
    do throws(SystemError) {
      memory = try GuestMemory(
        map.guestMemoryRanges,
        options: GuestMemory.Options(usesHugePages: configuration.usesHugePages)
      )
    } catch {
      if configuration.usesHugePages {
        throw MachineError.hugePages(bytes: configuration.memory, reason: error.reason)
      }
      throw MachineError.memory(bytes: configuration.memory, reason: error.reason)
    }
    isolated = attachments.isolated
    powerManagement = ACPIPowerManagement(
      line: try plane.makeLine(UInt32(Self.systemControlInterrupt)),
      clock: attachments.clock,
      system: attachments.system
    )
    serial = try attachments.serial.map { backend in
      Serial16550(line: try plane.makeLine(4), backend: backend, clock: attachments.clock)
    }
    let reserved = map.ram + [MemoryMap.ioAPIC, MemoryMap.localAPIC, MemoryMap.kvmPages]
    pci = PCIRootBus(
      in: PCIBuses(
        memory: memoryBus,
        ports: portBus,
        reserved: reserved.map { $0.lowerBound.rawValue..<$0.upperBound.rawValue }
      )
    )
    try plane.install(memory: memoryBus, ports: portBus)
    try addPlatform(attachments)
    try addVirtio(attachments)
  }

  deinit {
    // A circle of references otherwise: bus, configuration ports, PCI bus, bus. With it would stay the
    // devices, the guest's memory and the virtual machine.
    for ticket in configurationTickets { ticket.bus.remove(ticket.registration) }
  }

  /// Stops all devices; on return none of their threads touches guest memory any more.
  ///
  /// No vCPU runs any more.
  func stop() {
    for controller in controllers { controller.reset() }
    for function in remoteFunctions { function.stop() }
    for function in deviceFunctions {
      function.reset()
      function.stop()
    }
    plane.disconnect()
  }

  /// What the guest's firmware tables say.
  var tables: ACPITables {
    let machine = ACPIConfiguration(
      processors: (0..<UInt32(configuration.processorCount)).map { $0 },
      ioAPIC: 0,
      lowWindow: MemoryMap.pciWindow32,
      highWindow: map.pciWindow64,
      configurationSpace: MemoryMap.ecam.lowerBound,
      busCount: Self.busCount,
      hasSerialPort: serial != nil,
      virtioMMIO: virtioMMIO,
      powerManagementPort: UInt16(Self.powerManagementPort),
      systemControlInterrupt: Self.systemControlInterrupt
    )
    return ACPITables(of: machine, at: MemoryMap.acpiTables.lowerBound)
  }

  /// The eventfds by which other processes drive pins, made when the first is.
  func makeInterruptEvents() throws -> InterruptEvents {
    if let interruptEvents { return interruptEvents }
    let events = InterruptEvents(plane.router, on: try InterruptEventLoop())
    interruptEvents = events
    return events
  }

  /// Remembers which interrupt a device has.
  func note(_ name: String, gsi: UInt32) { interrupts.append((name, GSI(gsi))) }

  private func addPlatform(_ attachments: Attachments) throws {
    let system = attachments.system
    note("ACPI", gsi: UInt32(Self.systemControlInterrupt))
    try portBus.add(
      powerManagement,
      "ACPI power management",
      at: Self.powerManagementPort,
      ACPIPowerManagement.size
    )
    if let serial {
      note("serial port", gsi: 4)
      try portBus.add(serial, "serial port", at: 0x3F8, Serial16550.size)
    }
    let realTimeClock = RealTimeClock(
      line: try plane.makeLine(8),
      clock: attachments.clock,
      lowMemory: map.lowRAM.byteCount,
      highMemory: map.highRAM?.byteCount ?? 0
    )
    note("real-time clock", gsi: 8)
    let keyboard = KeyboardController(system: system)
    let resetRegister = ResetRegister(system: system)
    platform.realTimeClock = realTimeClock
    platform.keyboard = keyboard
    platform.resetRegister = resetRegister
    try portBus.add(realTimeClock, "real-time clock", at: 0x70, RealTimeClock.size)
    // The ports between its two are the kernel's PIT's, or nobody's.
    try portBus.add(
      keyboard,
      "keyboard controller",
      at: [BusRange(0x60, size: 1), BusRange(0x64, size: 1)]
    )
    let ports = PCIConfigurationPorts(pci, resetRegister: resetRegister)
    platform.configurationPorts = ports
    let portTicket = try portBus.register(
      ports,
      name: "PCI configuration, reset",
      at: [BusRange(PCIConfigurationPorts.firstPort, size: PCIConfigurationPorts.portCount)]
    )
    configurationTickets.append((portBus, portTicket))
    let window = PCIConfigurationWindow(pci, busCount: Self.busCount)
    let windowTicket = try memoryBus.register(
      window,
      name: "PCI configuration",
      at: [BusRange(MemoryMap.ecam.lowerBound.rawValue, size: window.size)]
    )
    configurationTickets.append((memoryBus, windowTicket))
    try addDebugDevices(system)
  }

  private func addDebugDevices(_ system: any SystemControl) throws {
    if configuration.hasDebugExit {
      try portBus.add(DebugExit(system: system), "debug exit", at: DebugExit.port, DebugExit.size)
    }
    if configuration.hasTestDevice {
      let device = TestDevice(lines: try PinLines(plane))
      platform.test = device
      try portBus.add(
        device,
        "test device",
        at: [BusRange(TestDevice.echoPorts), BusRange(TestDevice.linePorts)]
      )
      try memoryBus.add(
        TestMemory(device),
        "test device",
        at: [BusRange(TestDevice.echoMemory)]
      )
    }
    if configuration.hasDebugExit || configuration.hasTestDevice {
      let device = FirmwareConfiguration(
        memorySize: configuration.memory,
        processorCount: configuration.processorCount,
        memoryMap: map.e820.map {
          FirmwareConfiguration.MemoryRange(
            address: $0.range.lowerBound.rawValue,
            count: $0.range.byteCount,
            type: $0.kind.rawValue
          )
        }
      )
      platform.firmware = device
      try portBus.add(
        device,
        "firmware configuration",
        at: FirmwareConfiguration.port,
        FirmwareConfiguration.size
      )
    }
  }
}

extension Bus {
  /// Puts a device on the bus for as long as the bus.
  func add(_ device: any BusDevice, _ name: String, at ranges: [BusRange]) throws(BusError) {
    _ = try register(device, name: name, at: ranges)
  }

  /// Puts a device with one range on the bus for as long as the bus.
  func add(
    _ device: any BusDevice,
    _ name: String,
    at base: UInt64,
    _ size: UInt64
  ) throws(BusError) {
    try add(device, name, at: [BusRange(base, size: size)])
  }
}

extension BusRange {
  fileprivate init(_ range: Range<UInt64>) {
    self.init(range.lowerBound, size: range.upperBound - range.lowerBound)
  }
}
