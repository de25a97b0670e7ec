import GuestMemory
import HostOS
import Logging
public import Virtio

/// A device's queues and a driver that does with them what a script says; for one thread.
///
/// Whatever the driver does, each queue ends with nothing under way: each chain that was taken is given
/// back or can be taken again.
public final class ScriptedDevice {
  /// What a target says about its device.
  public struct Target {
    /// How many queues it has.
    public var queueCount: Int
    /// The features of its type that the script chooses from.
    public var features: VirtioFeatures
    /// Makes what serves all queues.
    public var makeService: (VirtioActivation) throws -> any QueueService
    /// What a driver says on a queue, if it does not say anything at all.
    public var message: (inout Script, _ queue: Int) -> [UInt8]
    /// Something happens on the host's side.
    public var event: (inout Script) throws -> Void

    /// Describes a device.
    public init(
      queueCount: Int,
      features: VirtioFeatures,
      makeService: @escaping (VirtioActivation) throws -> any QueueService,
      message: @escaping (inout Script, Int) -> [UInt8],
      event: @escaping (inout Script) throws -> Void
    ) {
      self.queueCount = queueCount
      self.features = features
      self.makeService = makeService
      self.message = message
      self.event = event
    }
  }

  /// A queue with its driver.
  private final class Line {
    let driver: ScriptedDriver
    var configuration: VirtqueueConfiguration
    var queue: Virtqueue
    var isEnded = false
    // What a driver broke stays as it is until the device's reset.
    var isBroken = false
    var idleTurns = 0

    init(_ driver: ScriptedDriver, _ configuration: VirtqueueConfiguration) throws {
      self.driver = driver
      self.configuration = configuration
      queue = try Virtqueue(configuration, in: driver.memory)
    }
  }

  // So many turns in which a queue says that there is more to do and nothing changes are a spin.
  private static let turnLimit = 2000

  private let target: Target
  private let memory: GuestMemory
  private let drivers: [ScriptedDriver]
  private let signals = VirtioSignals(
    "fuzz",
    interrupts: NoInterrupts(),
    logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
  )

  /// Makes the memory: two regions that touch at 0x8000, and a hole after the rings.
  public init(_ target: Target) throws {
    self.target = target
    let end = 0x10000 + ScriptedDriver.ringCount * UInt64(target.queueCount)
    let memory = try GuestMemory([(GuestAddress(0), 0x8000), (GuestAddress(0x8000), end - 0x8000)])
    self.memory = memory
    drivers = try (0..<target.queueCount).map { try ScriptedDriver($0, in: memory) }
  }

  /// Does what the script says; what the driver does wrong ends it.
  public func run(_ script: inout Script) throws {
    try memory.zero(GuestAddress(0), count: 0x10000)
    let features = target.features.intersection(VirtioFeatures(rawValue: script.word64()))
    let lines = try drivers.map { driver in
      try Line(driver, try driver.begin(&script))
    }
    let service = try target.makeService(
      VirtioActivation(
        features: features.union(.version1),
        memory: memory,
        queues: lines.map(\.configuration),
        signals: signals
      )
    )
    defer { for line in lines { Self.finish(line, service) } }
    while !script.isAtEnd {
      let choice = script.byte()
      let index = Int(choice >> 4) % lines.count
      let line = lines[index]
      switch choice & 15 {
      case 0, 1: try line.driver.step(&script, size: line.configuration.size)
      case 2, 3, 4, 5:
        try line.driver.request(
          target.message(&script, index),
          &script,
          size: line.configuration.size
        )
      case 6: try line.driver.request([], &script, size: line.configuration.size)
      case 7, 8, 9: try target.event(&script)
      case 10: try restart(line, service)
      default: try serve(line, service)
      }
    }
    for line in lines {
      for _ in 0..<4 { try serve(line, service) }
    }
  }

  private func serve(_ line: Line, _ service: any QueueService) throws {
    guard !line.isEnded else { return }
    let before = line.queue.state
    line.isBroken = true
    let outcome = try service.serve(&line.queue)
    line.isBroken = false
    line.queue.publish()
    _ = line.queue.needsInterrupt()
    switch outcome {
    case .busy where line.queue.state == before: line.idleTurns += 1
    case .ended: line.isEnded = true
    default: line.idleTurns = 0
    }
    require(line.idleTurns < Self.turnLimit, "queue \(line.queue.index) spins")
  }

  /// Stops a queue, and starts it where it stood.
  private func restart(_ line: Line, _ service: any QueueService) throws {
    Self.finish(line, service)
    line.configuration.state = line.queue.state
    line.queue = try Virtqueue(line.configuration, in: memory)
    line.isEnded = false
  }

  private static func finish(_ line: Line, _ service: any QueueService) {
    service.finish(&line.queue)
    line.queue.publish()
    let state = line.queue.state
    require(
      line.isBroken || state.available == state.used,
      "queue \(line.queue.index) is left at \(state)"
    )
  }
}

/// Interrupts that nobody takes.
public final class NoInterrupts: VirtioInterrupts {
  /// Makes them.
  public init() {}
  /// Nobody takes it.
  public func signalQueue(_ index: Int) {}
  /// Nobody takes it.
  public func signalConfigurationChange() {}
  /// Nothing to forget.
  public func reset() {}
}
