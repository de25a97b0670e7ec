import DeviceModel
import Interrupts

/// What a board's devices need of whatever runs the guest: lines, messages and doorbells.
///
/// One for each place that interrupt controllers can be in: ``KernelPlane``, ``SplitPlane``, ``UserPlane``; and
/// ``DetachedPlane`` for a machine that is only looked at. A device sees no difference.
protocol MachinePlane: MessageInterruptAllocator, DoorbellRegistry {
  /// The lines, and where they lead.
  var router: InterruptRouter { get }

  /// Puts the controllers that are in this process on the buses.
  func install(memory: Bus, ports: Bus) throws

  /// Replaces the routes of all GSIs below 24.
  func setRoutes(_ routes: RoutingTable) throws

  /// Lets go of the controllers; no vCPU runs any more. What is signalled from here on is lost.
  func disconnect()

  /// Makes a line of a GSI that another process drives through eventfds.
  ///
  /// - Parameters:
  ///   - gsi: The GSI.
  ///   - events: Waits for eventfds that the kernel does not.
  /// - Returns: A line that is not connected.
  /// - Throws: ``InterruptError``.
  func makeResampledLine(
    _ gsi: UInt32,
    on events: InterruptEvents
  ) throws -> any ResampledLine

  /// The interrupts of processor `index`, for its run loop; `nil` if the kernel does all.
  func makeProcessorInterrupts(_ index: Int) throws -> (any ProcessorInterrupts)?

  /// Messages that the kernel routes past ``router``, by GSI; any thread may ask.
  var kernelMessages: [(gsi: GSI, message: InterruptMessage)] { get }

  /// How many pairs of eventfds other processes drive each line with, past ``router``, by GSI; any thread may ask.
  var kernelSources: [GSI: Int] { get }

  /// What became of the interrupts of a pin, if that is known here; any thread may ask.
  func counters(of pin: ControllerPin) -> InterruptCounters

  /// All GSIs that have a source or a route in this process, by number; any thread may ask.
  var lineReport: [InterruptRouter.LineReport] { get }

  /// The state of the chips that a machine has once; any thread may ask. Only what vCPUs do while they are asked can
  /// come between the parts.
  var chips: InterruptState.Chips { get throws }

  /// Puts the state of the chips back, of a machine in any mode, and sends what is due.
  ///
  /// No vCPU runs, their local APICs have been put back, and the lines that devices hold up are up.
  ///
  /// - Throws: ``KVMError``.
  func restore(_ chips: InterruptState.Chips) throws

  /// What the controllers hold, other than local APICs in the kernel, as lines of text; any thread may ask.
  var chipReport: [String] { get }
}

extension MachinePlane {
  var kernelMessages: [(gsi: GSI, message: InterruptMessage)] { [] }
  var kernelSources: [GSI: Int] { [:] }
  func counters(of pin: ControllerPin) -> InterruptCounters { InterruptCounters() }
  var lineReport: [InterruptRouter.LineReport] { router.report }

  func makeResampledLine(
    _ gsi: UInt32,
    on events: InterruptEvents
  ) throws -> any ResampledLine {
    EventLine(GSI(gsi), events)
  }

  /// Adds a source of a GSI.
  func makeLine(_ gsi: UInt32) throws(InterruptError) -> InterruptSource {
    try router.makeSource(of: GSI(gsi))
  }
}
