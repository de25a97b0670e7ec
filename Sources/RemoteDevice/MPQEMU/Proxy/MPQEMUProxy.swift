import DeviceModel
public import GuestMemory
public import HostOS
public import Logging
public import PCI

/// A PCI function whose device is another process's, reached by the multi-process protocol: QEMU's
/// `x-remote` machine, or `apus serve … --mpqemu`.
///
/// Configuration and BARs are the remote's, and each access to them waits for it; the device reaches memory and
/// interrupts by itself. What is forwarded never breaks the rules that QEMU's remote ends for. A remote that
/// fails reads as ones, as a device that was pulled out does, and the machine goes on. Register accesses
/// come from any vCPU; everything else from the machine's main thread.
public final class MPQEMUProxy: PCIFunction {
  /// What messages call the function.
  public let name: String
  /// The header as the remote has it, for the bus; the guest reads the remote's own.
  public let configuration: PCIConfigurationSpace
  /// The pin that the remote interrupts through, if it has one.
  public let pin: PCIInterruptPin.Pin?

  let keeper: MPQEMUKeeper
  var link: MPQEMULink { keeper.link }

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

  /// Connects to a remote, or starts it, and finds out what it is.
  ///
  /// - Throws: `SystemError` if there is no remote, ``MPQEMUError`` or ``MPQEMUProxyError`` for one that is no
  ///   good.
  public init(_ remote: MPQEMURemote, name: String, logger: Logger) throws {
    self.name = name
    keeper = try MPQEMUKeeper(remote, name: name, logger: logger)
    let found = try MPQEMUDiscovery(keeper.link)
    configuration = PCIConfigurationSpace(found.identity, bars: found.bars)
    pin = found.pin
  }

  /// Ends the connection, and the process if it was started here.
  public func stop() { keeper.stop() }

  /// Whether the remote is still there.
  public var isAlive: Bool { link.failure == nil }

  /// Has `body` called, on any thread, when the remote fails: whatever it held up is to be let go of.
  public func observeFailure(_ body: @escaping @Sendable () -> Void) { link.observeFailure(body) }

  /// Tells the remote where the guest's memory is; it may use it from now on.
  ///
  /// - Throws: ``MPQEMUProxyError`` for memory in more pieces than the protocol has room for,
  ///   ``MPQEMUError`` if the remote fails.
  public func share(_ memory: GuestMemory) throws {
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

  /// Hands the remote what to signal for its interrupt, and what says that one has ended; its next
  /// replaces it.
  ///
  /// - Throws: ``MPQEMUError`` if the remote fails.
  public func setInterrupt(_ trigger: EventFD, resample: EventFD) throws {
    try link.tell(.setInterrupt, descriptors: [trigger.share(), resample.share()])
  }

  /// Gives the remote the header as it is here: the addresses that were chosen, and nothing enabled.
  ///
  /// - Throws: ``MPQEMUError`` if the remote fails.
  public func publish() throws(MPQEMUError) {
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
    guard isAlive else { return }
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
