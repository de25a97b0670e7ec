public import DeviceModel
public import GuestMemory
import Synchronization

/// A device of an author's as a PCI function: all that a ``PCIFunction`` has beside the device's registers.
public final class PCIDeviceFunction: PCIFunction {
  /// The device.
  public let device: any PCIDevice
  /// What it looks like.
  public let profile: PCIDeviceProfile
  /// The function's configuration registers.
  public let configuration: PCIConfigurationSpace
  /// The function's MSI-X table, if it has vectors.
  public let msix: MSIX?
  /// The function's MSI, if it has vectors of that kind.
  public let msi: MSI?
  private let pin: PCIInterruptPin
  // The device's own state while it is paused.
  let saved = Mutex<[UInt8]?>(nil)
  private let regions: [PCIRegion?]
  /// The BARs that are memory, in parts.
  public let barMemory: [PCIBARMemory]
  private let areas: PCIMemoryAreas

  /// Makes a device of `model` in the process that has the guest's memory.
  ///
  /// - Parameters:
  ///   - model: What is made.
  ///   - memory: The guest's RAM.
  ///   - line: What the function's pin, INTA#, is wired to.
  ///   - messages: Where MSI-X vectors come from; without it the function has none.
  ///   - mapper: Who lets the guest reach the memory of regions by itself; nobody, by default.
  ///   - report: Where to say what a driver did wrong; from any thread.
  /// - Throws: What the device's author or the source of vectors throws.
  public convenience init(
    _ model: PCIDeviceModel,
    memory: GuestMemory,
    line: any InterruptLine,
    messages: (any MessageInterruptAllocator)?,
    mapper: (any MemoryMapper)? = nil,
    report: @escaping @Sendable (String) -> Void
  ) throws {
    try self.init(model, line: line, messages: messages, mapper: mapper, report: report) {
      MappedDeviceMemory(memory, of: $0)
    }
  }

  /// Makes a device of `model` somewhere else.
  ///
  /// - Parameters:
  ///   - model: What is made.
  ///   - memory: The way to the guest's memory, which heeds the bus master bit.
  ///   - line: What the function's pin, INTA#, is wired to.
  ///   - messages: Where MSI-X vectors come from; without it the function has none.
  ///   - report: Where to say what a driver did wrong; from any thread.
  /// - Throws: What the device's author or the source of vectors throws.
  public convenience init(
    _ model: PCIDeviceModel,
    reaching memory: any DeviceMemory,
    line: any InterruptLine,
    messages: (any MessageInterruptAllocator)?,
    report: @escaping @Sendable (String) -> Void
  ) throws {
    try self.init(model, line: line, messages: messages, mapper: nil, report: report) { _ in memory
    }
  }

  private init(
    _ model: PCIDeviceModel,
    line: any InterruptLine,
    messages: (any MessageInterruptAllocator)?,
    mapper: (any MemoryMapper)?,
    report: @escaping @Sendable (String) -> Void,
    _ makeMemory: (PCIConfigurationSpace) -> any DeviceMemory
  ) throws {
    let profile = model.profile
    self.profile = profile
    var bars = profile.regions.map(PCIBAR.init)
    let messages = profile.vectorCount == 0 ? nil : messages
    let vectors = messages == nil || profile.messageKind == .msi ? nil : VectorLayout(profile)
    if let vectors { bars.append(vectors.bar) }
    let configuration = PCIConfigurationSpace(profile.identity, bars: bars)
    self.configuration = configuration
    var msix: MSIX?
    if let vectors, let messages {
      msix = try MSIX(
        vectorCount: profile.vectorCount,
        bar: vectors.bar.index,
        tableOffset: 0,
        pendingOffset: vectors.pendingOffset,
        in: configuration,
        from: messages
      )
    }
    self.msix = msix
    msi =
      try profile.messageKind == .msix
      ? nil
      : messages.map { messages in
        try MSI(MSI.Layout(vectorCount: profile.vectorCount), in: configuration, from: messages)
      }
    pin = PCIInterruptPin(to: line, of: configuration)
    regions = (0..<6).map { bar in profile.regions.first { $0.bar == bar } }
    let barMemory = try profile.regions.compactMap { try PCIBARMemory($0) }
    self.barMemory = barMemory
    areas = PCIMemoryAreas(mapper, report: report)
    areas.set(
      barMemory.flatMap { bar in
        bar.areas.map { PCIMemoryAreas.Area(bar: bar.bar, range: $0, memory: bar.memory) }
      }
    )
    device = try model.makeDevice(
      DeviceHost(
        memory: makeMemory(configuration),
        interrupts: PCIDeviceInterrupts(pin, msix, msi),
        regions: Dictionary(uniqueKeysWithValues: barMemory.map { ($0.bar, $0) }),
        report: report
      )
    )
  }

  /// The name of the device.
  public var name: String { profile.name }
  /// The function's INTx pin.
  public var interruptPin: PCIInterruptPin? { pin }

  /// Reads a register, in as many accesses as the region's widths make of it.
  public func readBAR(_ access: BusAccess) -> UInt64 {
    guard let region = region(access.region) else { return 0 }
    if let value = memory(access.region)?.load(access) { return value }
    var value: UInt64 = 0
    var done = 0
    while done < access.width {
      let offset = access.offset &+ UInt64(done)
      guard let width = region.widths.width(of: access.width - done, at: offset) else { return 0 }
      let part = device.read(BusAccess(region: region.bar, offset: offset, width: width))
      value |= (part & .max >> UInt64(64 - 8 * width)) << UInt64(8 * done)
      done += width
    }
    return value
  }

  /// Writes a register, in as many accesses as the region's widths make of it.
  public func writeBAR(_ value: UInt64, _ access: BusAccess) {
    guard let region = region(access.region) else { return }
    if memory(access.region)?.store(value, access) == true { return }
    var done = 0
    while done < access.width {
      let offset = access.offset &+ UInt64(done)
      guard let width = region.widths.width(of: access.width - done, at: offset) else { return }
      device.write(
        value >> UInt64(8 * done) & .max >> UInt64(64 - 8 * width),
        BusAccess(region: region.bar, offset: offset, width: width)
      )
      done += width
    }
  }

  /// Lets the memory of a region follow.
  public func barDidMove(_ bar: Int, to address: UInt64?) { areas.move(bar, to: address) }

  /// Resets the device; what its regions have of memory is zeroed.
  public func reset() {
    device.reset()
    for memory in barMemory { memory.clear() }
  }

  /// Lets go of the guest: nothing of the regions' memory is reached by it any more.
  public func stop() { areas.set([]) }

  private func memory(_ bar: Int) -> PCIBARMemory? { barMemory.first { $0.bar == bar } }

  private func region(_ bar: Int) -> PCIRegion? {
    regions.indices.contains(bar) ? regions[bar] : nil
  }
}

/// Where a function's vectors are: in the first base address register that is free.
private struct VectorLayout {
  let bar: PCIBAR
  let pendingOffset: UInt64

  init(_ profile: PCIDeviceProfile) {
    let taken = Set(
      profile.regions.flatMap { $0.kind == .memory64 ? [$0.bar, $0.bar + 1] : [$0.bar] }
    )
    guard let free = (0..<6).first(where: { !taken.contains($0) }) else {
      preconditionFailure("\(profile.name): no base address register is left for the vectors")
    }
    // Table and pending bits in halves of their own, and a page at least.
    var half: UInt64 = 0x800
    while half < MSIX.tableSize(profile.vectorCount) { half *= 2 }
    bar = PCIBAR(free, .memory32(), size: 2 * half)
    pendingOffset = half
  }
}

extension PCIBAR {
  fileprivate init(_ region: PCIRegion) {
    let kind: Kind =
      switch region.kind {
      case .memory: .memory32()
      case .memory64: .memory64()
      case .ports: .port
      }
    self.init(region.bar, kind, size: region.size)
  }
}
