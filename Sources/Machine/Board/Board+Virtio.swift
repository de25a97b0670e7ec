import DeviceModel
import GuestMemory
import Interrupts
import Logging
import PCI
import Platform
import RemoteDevice
import Virtio

/// The virtio devices, and where each is attached.
extension Board {
  /// A device, and where it is to sit.
  struct AttachedDevice {
    let device: RemoteLink.Device
    /// The device number or register address that the user chose.
    let address: UInt64?
    /// What messages call it: the file of a disk, or the option.
    let label: String

    init(_ device: RemoteLink.Device, address: UInt64?, label: String) {
      self.device = device
      self.address = address
      self.label = label
    }

    init(device: any VirtioDevice, address: UInt64?, label: String) {
      self.init(.virtio(device), address: address, label: label)
    }

    /// The option that it comes from, up to its place.
    var option: String { label.hasPrefix("--") ? label : "--disk \(label)" }
  }

  func addVirtio(_ attachments: Attachments) throws {
    var devices: [AttachedDevice] = []
    var threads = try QueueThreads(configuration)
    for (index, disk) in configuration.disks.enumerated() {
      if let isolated = attachments.isolated {
        devices.append(
          AttachedDevice(isolated.disks[index], address: disk.address, label: disk.path)
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
      memory64: PCIWindow(map.pciWindow64),
      ports: PCIWindow(
        base: MemoryMap.pciPorts.lowerBound,
        size: UInt64(MemoryMap.pciPorts.count)
      )
    )
    for (device, place) in zip(devices, slots) {
      let slot = UInt8(truncatingIfNeeded: place)
      let gsi = PCIInterruptRouting.gsi(device: slot, pin: .a)
      let function: any PCIFunction
      switch device.device {
      case .virtio(let device): function = try makeTransport(device, gsi)
      case .function(let maker): function = try makeFunction(maker, gsi, device.label)
      case .model(let model): function = try makeFunction(model, gsi)
      }
      if function.configuration.interruptPin != nil {
        // PCI 3.0, 6.2.4: firmware leaves the line it chose here; drivers that know no ACPI use it.
        function.configuration.store(gsi, 0x3C, width: 1)
        note(device.device.name, gsi: gsi)
      }
      try allocator.assign(to: function)
      try pci.add(function, at: PCIAddress(device: slot))
    }
  }

  /// Has all devices finish what they have taken, and take nothing more; the processes of those that have one end.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` if one does not end in order.
  func pauseDevices() throws(SnapshotError) {
    for function in savedFunctions { function.pause() }
    try isolated?.hold()
  }

  /// Has devices that were paused, or put back, go on.
  func resumeDevices() {
    for function in savedFunctions { function.resume() }
    isolated?.release()
  }

  /// Has devices that were put back say what they may have said right before they were saved.
  func signalDevices() { for function in savedFunctions { function.signalRestart() } }

  private var savedFunctions: [any SavedPCIFunction] {
    // Those of a process of ours are left in its state file.
    pci.functions.compactMap { _, function in
      isolated?.process(of: function) == nil ? function as? any SavedPCIFunction : nil
    }
  }

  private func makeTransport(
    _ device: any VirtioDevice,
    _ gsi: UInt32
  ) throws -> any PCIFunction {
    let transport = try PCITransport(
      device,
      memory: memory,
      line: try plane.makeLine(gsi),
      messages: plane,
      doorbells: plane,
      features: ringFeatures,
      logger: Logger(label: device.name)
    )
    controllers.append(transport.controller)
    return transport
  }

  private func makeFunction(
    _ maker: any RemoteFunctionMaker,
    _ gsi: UInt32,
    _ label: String
  ) throws -> any PCIFunction {
    let wiring = RemoteWiring(
      memory: memory,
      line: try plane.makeResampledLine(gsi, on: try makeInterruptEvents()),
      messages: plane,
      doorbells: plane,
      mapper: mapper
    )
    do {
      let function = try maker.makeFunction(wiring)
      remoteFunctions.append(function)
      return function
    } catch let error as VfioUserError {
      throw MachineError.remoteDevice(option: label, reason: "\(error)")
    } catch let error as MPQEMUError {
      throw MachineError.remoteDevice(option: label, reason: "\(error)")
    } catch let error as MPQEMUProxyError {
      throw MachineError.remoteDevice(option: label, reason: "\(error)")
    }
  }

  private func makeFunction(_ model: PCIDeviceModel, _ gsi: UInt32) throws -> any PCIFunction {
    let log = LimitedLog(Logger(label: "device"), prefix: model.profile.name)
    let function = try PCIDeviceFunction(
      model,
      memory: memory,
      line: try plane.makeLine(gsi),
      messages: plane,
      mapper: mapper
    ) {
      log.warning($0)
    }
    deviceFunctions.append(function)
    return function
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
    for (index, (attached, address)) in zip(devices, addresses).enumerated() {
      // The configuration was checked: there is nothing else.
      guard case .virtio(let device) = attached.device else { continue }
      let gsi = PCIInterruptRouting.firstGSI + UInt32(index % PCIInterruptRouting.count)
      let transport = try MMIOTransport(
        device,
        at: GuestAddress(address),
        memory: memory,
        line: try plane.makeLine(gsi),
        doorbells: plane,
        features: ringFeatures,
        logger: Logger(label: device.name)
      )
      try memoryBus.add(transport, device.name, at: address, MMIOTransport.windowCount)
      virtioMMIO.append(
        ACPIConfiguration.VirtioMMIO(address: GuestAddress(address), count: step, interrupt: gsi)
      )
      controllers.append(transport.controller)
      note(device.name, gsi: gsi)
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
