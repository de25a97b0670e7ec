import DeviceModel
import GuestMemory
import HostOS
public import PCI
import Synchronization

/// The function of one board whose device is a remote's, reached by the multi-process protocol: QEMU's `x-remote`
/// machine's, or that of `apus serve … --mpqemu`.
///
/// Configuration and BARs are the remote's, and each access to them waits for it; the device reaches memory and
/// interrupts by itself. What is forwarded never breaks the rules that QEMU's remote ends for. A remote that
/// fails reads as ones, as a device that was pulled out does, and the machine goes on. Register accesses
/// come from any vCPU; everything else from the machine's main thread.
public final class MPQEMUProxy: RemotePCIFunction {
  /// What messages call the function.
  public var name: String { device.name }
  /// The header as the remote has it, for the bus; the guest reads the remote's own.
  public let configuration: PCIConfigurationSpace

  private let device: MPQEMUDevice
  var link: MPQEMULink { device.link }
  private let line: any ResampledLine
  // Lock order: before the link's.
  private let isPublished = Mutex(false)

  enum Register {
    static let command = 0x04
    static let cacheLineSize = 0x0C
    static let headerType = 0x0E
    static let bars = 0x10
    static let expansionROM = 0x30
    static let interruptLine = 0x3C
    static let interruptPin = 0x3D
    /// The last whole doubleword: QEMU's remote ends if asked for a register above, whatever the width.
    static let last = 0xFC
    /// Where a conventional function's registers end.
    static let end = 0x100
  }

  /// Puts the remote's device on a board: it has the board's memory and interrupt from here on.
  init(_ device: MPQEMUDevice, _ wiring: RemoteWiring) throws {
    self.device = device
    line = wiring.line
    configuration = PCIConfigurationSpace(device.found.identity, bars: device.found.bars)
    if device.found.pin != nil { configuration.define(Register.interruptPin, width: 1, 1) }
    try share(wiring.memory)
    if device.found.pin != nil { try connect() }
  }

  deinit { line.disconnect() }

  /// Tells the remote where the guest's memory is; it may use it from now on.
  private func share(_ memory: GuestMemory) throws {
    guard let file = memory.file.borrow({ $0.rawValue }) else {
      throw MPQEMUProxyError.noMemoryFile
    }
    let regions = memory.regions.map {
      MPQEMURegion(address: $0.start.rawValue, size: $0.count, offset: $0.fileOffset)
    }
    guard regions.count <= MPQEMUMessage.sentRegionLimit else {
      throw MPQEMUProxyError.tooManyRegions(regions.count)
    }
    try link.tell(
      .syncMemory(regions),
      descriptors: Array(repeating: file, count: regions.count)
    )
  }

  /// Hands the remote what to signal for its interrupt, and what says that one has ended.
  private func connect() throws {
    let (trigger, resample) = (try EventFD(), try EventFD())
    try link.tell(.setInterrupt, descriptors: [trigger.share(), resample.share()])
    try line.connect(trigger, resample: resample)
    link.observeFailure { [line] in
      // Whoever held it up will not let go of it any more.
      line.disconnect()
    }
  }

  /// Takes the board's memory and interrupt away from the remote, which is as if reset.
  public func stop() {
    line.disconnect()
    link.observeFailure(nil)
    let memory = device.nothing.memory
    do throws(MPQEMUError) {
      try link.ask(.reset)
      try link.ask(.writeConfiguration(.init(Register.command, width: 2, value: 0)))
      try link.tell(memory.message, descriptors: memory.descriptors)
      try link.tell(.setInterrupt, descriptors: device.nothing.interrupt)
      // An answer says that what came before it was done.
      try link.ask(.readConfiguration(.init(0, width: 2)))
    } catch {
      // A remote that has failed was told of; one that has gone uses nothing.
    }
  }

  /// Gives the remote the header as it is here, once: the board chooses addresses when it has the function.
  func publishOnce() {
    isPublished.withLock { isPublished in
      guard !isPublished else { return }
      isPublished = true
      // A remote that fails has said so.
      try? publish()
    }
  }

  /// Gives the remote the header as it is here: the addresses that were chosen, and nothing enabled.
  private func publish() throws(MPQEMUError) {
    // What is decoded while its address changes would be decoded elsewhere for that moment.
    try write(0, Register.command, width: 2)
    for bar in configuration.bars {
      for word in 0..<(bar.is64Bit ? 2 : 1) {
        let offset = Register.bars + 4 * (bar.index + word)
        try write(configuration.read(offset, width: 4), offset, width: 4)
      }
    }
    try write(
      configuration.read(Register.cacheLineSize, width: 1),
      Register.cacheLineSize,
      width: 1
    )
    try write(
      configuration.read(Register.interruptLine, width: 1),
      Register.interruptLine,
      width: 1
    )
    try write(configuration.read(Register.command, width: 2), Register.command, width: 2)
  }

  /// Resets the device; then its header, which the remote's reset leaves as it is.
  public func reset() {
    configuration.reset()
    isPublished.withLock { $0 = true }
    do throws(MPQEMUError) {
      try link.ask(.reset)
      try publish()
    } catch {
      // The link has said so.
    }
  }

  private func write(_ value: UInt32, _ offset: Int, width: Int) throws(MPQEMUError) {
    try link.ask(.writeConfiguration(.init(offset, width: width, value: value)))
  }
}

extension MPQEMUConfigurationAccess {
  /// An access to registers of a conventional function.
  init(_ offset: Int, width: Int, value: UInt32 = 0) {
    self.init(address: UInt32(offset), value: value, width: Int32(width))
  }
}
