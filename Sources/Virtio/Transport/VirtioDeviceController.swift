public import GuestMemory
public import HostOS
public import Logging
import Synchronization

/// The registers and the life of one virtio device, without the layout that a transport gives them.
///
/// Both transports are a table of offsets on top of this. Every register access may come from any
/// vCPU's thread. A transport holds none of its own locks while it calls.
///
/// The transition lock is held over the device's activation and reset, which are thereby one at a
/// time; the register lock is held for the length of one access. Threads of the device take
/// neither: they reach the status through ``VirtioSignals``, so that a reset can wait for them.
///
/// Lock order: transition before registers before the memory's.
public final class VirtioDeviceController: Sendable {
  /// The device.
  public let device: any VirtioDevice
  /// The eventfd of each queue by index; a transport connects them to doorbells.
  public let kicks: [EventFD]
  /// The device's way to its driver, which holds the status.
  public let signals: VirtioSignals

  // Fewer than the device has, once a driver's state was restored to which fewer were offered.
  private let offer: Atomic<UInt64>
  let transition = Mutex(Transition())
  private let currentMemory: Mutex<GuestMemory>
  private let currentKeeper = Mutex<VirtioStateKeeper?>(nil)
  let registers: Mutex<Registers>

  /// Whether the device is active, and where its queues stood when it was last stopped for a while.
  struct Transition {
    enum Activity {
      case idle, active
      /// The driver is ready, and the device is held, or the memory of its queues is not there.
      case parked
    }

    var activity = Activity.idle
    /// Whether the device stays where it stands, whatever memory comes.
    var isHeld = false
    var states: [Int: VirtqueueState] = [:]
  }

  struct Registers {
    var deviceFeatureSelect: UInt32 = 0
    var driverFeatureSelect: UInt32 = 0
    var driverFeatures: UInt64 = 0
    var queueSelect: UInt16 = 0
    var queues: [QueueRegisters]
  }

  /// Makes the registers of `device`, as they are after a reset.
  ///
  /// - Parameters:
  ///   - device: The device, which belongs to this controller from now on.
  ///   - memory: The guest's RAM.
  ///   - interrupts: The transport's way to interrupt the guest.
  ///   - features: What is offered beside the features of the device's type.
  ///   - logger: Where to say what a driver did wrong.
  /// - Throws: `SystemError` if the host has no eventfd left.
  public init(
    _ device: any VirtioDevice,
    memory: GuestMemory,
    interrupts: any VirtioInterrupts,
    features: VirtioFeatures = .common,
    logger: Logger
  ) throws(SystemError) {
    let sizes = device.queueSizes
    precondition(
      sizes.allSatisfy {
        $0 > 0 && $0 <= VirtqueueConfiguration.maximumSize && $0 & ($0 - 1) == 0
      },
      "\(device.name) offers queues of \(sizes)"
    )
    self.device = device
    currentMemory = Mutex(memory)
    var kicks: [EventFD] = []
    for _ in sizes { kicks.append(try EventFD()) }
    self.kicks = kicks
    signals = VirtioSignals(device.name, interrupts: interrupts, logger: logger)
    offer = Atomic(device.features.union(features.intersection(device.ringFeatures)).rawValue)
    registers = Mutex(Registers(queues: sizes.map { QueueRegisters(maximumSize: $0) }))
  }

  deinit {
    // The device's threads must not outlive the guest memory's last user that is known.
    device.reset()
  }

  /// What is offered to the driver.
  var offered: VirtioFeatures {
    get { VirtioFeatures(rawValue: offer.load(ordering: .relaxed)) }
    set { offer.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// The guest's RAM, as it is now.
  var memory: GuestMemory { currentMemory.withLock { $0 } }

  /// Who keeps the state for another process, if somebody does.
  var keeper: VirtioStateKeeper? {
    get { currentKeeper.withLock { $0 } }
    set { currentKeeper.withLock { $0 = newValue } }
  }

  func setMemory(_ memory: GuestMemory) { currentMemory.withLock { $0 = memory } }

  /// The number of queues that the device has.
  public var queueCount: Int { kicks.count }

  /// Wakes whoever serves queue `index`, for a notification that did not go through a doorbell.
  public func notify(_ index: Int) {
    guard kicks.indices.contains(index) else {
      signals.log.warning("notification for queue \(index) of \(kicks.count)")
      return
    }
    kicks[index].signal()
  }

  /// Reads the device-specific configuration; see
  /// ``VirtioDevice/readConfiguration(offset:width:)``.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    guard offset < UInt64(device.configurationCount) else { return 0 }
    return device.readConfiguration(offset: offset, width: width)
  }

  /// Writes the device-specific configuration.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    guard offset < UInt64(device.configurationCount) else { return }
    device.writeConfiguration(value, offset: offset, width: width)
  }

  /// Changes whenever the device changes its configuration (virtio 1.2, 2.5.3).
  public var configurationGeneration: UInt32 { signals.configurationGeneration }
}
