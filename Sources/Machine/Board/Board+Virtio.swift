import DeviceModel
import GuestMemory
import Interrupts
import Logging
import PCI
import Platform
import Virtio

/// The virtio devices, and where each is attached.
extension Board {
  /// A device, and where it is to sit.
  struct AttachedDevice {
    let device: any VirtioDevice
    /// The device number or register address that the user chose.
    let address: UInt64?
    /// What messages call it: the file of a disk, or the option.
    let label: String

    /// The option that it comes from, up to its place.
    var option: String { label.hasPrefix("--") ? label : "--disk \(label)" }
  }

  func addVirtio(_ attachments: Attachments) throws {
    var devices: [AttachedDevice] = []
    var threads = try QueueThreads(configuration)
    for (index, disk) in configuration.disks.enumerated() {
      if let isolated = attachments.isolated {
        devices.append(
          AttachedDevice(device: isolated.disks[index], address: disk.address, label: disk.path)
        )
        continue
      }
      let options = try disk.options(
        queueCount: configuration.processorCount,
        clock: attachments.clock
      )
      let device = Block(
        try attachments.disks?[index] ?? disk.open(),
        name: disk.name ?? "disk\(index)",
        options: options,
        threads: threads.take(options.queueCount),
        polling: threads.polling
      )
      disks.append(device)
      devices.append(AttachedDevice(device: device, address: disk.address, label: disk.path))
    }
    devices += try makeDevices(attachments, &threads)
    switch configuration.transport {
    case .pci: try attachToPCI(devices)
    case .mmio: try attachToMemory(devices)
    }
  }

  /// What is offered beside the features of a device's type.
  private var ringFeatures: VirtioFeatures {
    configuration.offersPackedRings ? .common : VirtioFeatures.common.subtracting(.packedRing)
  }

  private func attachToPCI(_ devices: [AttachedDevice]) throws {
    for device in devices {
      guard let slot = device.address, !(1...31).contains(slot) else { continue }
      throw MachineError.slot(option: device.option, slot)
    }
    let slots = try places(devices, from: Array(1...31), kind: "PCI") { "PCI device \($0)" }
    var allocator = PCIResourceAllocator(
      memory32: PCIWindow(MemoryMap.pciWindow32),
      memory64: PCIWindow(map.pciWindow64)
    )
    for (device, place) in zip(devices, slots) {
      let slot = UInt8(truncatingIfNeeded: place)
      let gsi = PCIInterruptRouting.gsi(device: slot, pin: .a)
      let transport = try PCITransport(
        device.device,
        memory: memory,
        line: try plane.makeLine(gsi),
        messages: plane,
        doorbells: plane,
        features: ringFeatures,
        logger: Logger(label: device.device.name)
      )
      // PCI 3.0, 6.2.4: firmware leaves the line it chose here; drivers that know no ACPI use it.
      transport.configuration.store(gsi, 0x3C, width: 1)
      try allocator.assign(to: transport)
      try pci.add(transport, at: PCIAddress(device: slot))
      controllers.append(transport.controller)
      note(device.device.name, gsi: gsi)
    }
  }

  private func attachToMemory(_ devices: [AttachedDevice]) throws {
    let range = MemoryMap.virtioMMIO
    let step = MemoryMap.virtioMMIOSlotSize
    let all = Array(
      stride(from: range.lowerBound.rawValue, to: range.upperBound.rawValue, by: Int(step))
    )
    for device in devices {
      guard let address = device.address, !all.contains(address) else { continue }
      throw MachineError.registers(
        option: device.option,
        address,
        first: range.lowerBound.rawValue,
        last: range.upperBound.rawValue - step
      )
    }
    let addresses = try places(devices, from: all, kind: "virtio-mmio") { hex($0) }
    for (index, (device, address)) in zip(devices, addresses).enumerated() {
      let gsi = PCIInterruptRouting.firstGSI + UInt32(index % PCIInterruptRouting.count)
      let transport = try MMIOTransport(
        device.device,
        at: GuestAddress(address),
        memory: memory,
        line: try plane.makeLine(gsi),
        doorbells: plane,
        features: ringFeatures,
        logger: Logger(label: device.device.name)
      )
      try memoryBus.add(transport, device.device.name, at: address, MMIOTransport.windowCount)
      virtioMMIO.append(
        ACPIConfiguration.VirtioMMIO(address: GuestAddress(address), count: step, interrupt: gsi)
      )
      controllers.append(transport.controller)
      note(device.device.name, gsi: gsi)
    }
  }

  /// Finds a place for each device: those that were asked for first, the others in what is left.
  private func places(
    _ devices: [AttachedDevice],
    from all: [UInt64],
    kind: String,
    named name: (UInt64) -> String
  ) throws(MachineError) -> [UInt64] {
    var taken: [UInt64: String] = [:]
    for device in devices {
      guard let address = device.address else { continue }
      if let other = taken[address] {
        throw .addressTaken(by: other, wanted: device.label, address: name(address))
      }
      taken[address] = device.label
    }
    guard devices.count <= all.count else { throw .tooManyDevices(kind: kind, limit: all.count) }
    var free = all.filter { taken[$0] == nil }[...]
    return devices.map { $0.address ?? free.popFirst() ?? 0 }
  }
}

extension PCIWindow {
  fileprivate init(_ range: Range<GuestAddress>) {
    self.init(base: range.lowerBound.rawValue, size: range.byteCount)
  }
}
