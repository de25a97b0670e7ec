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

  /// The interrupts of processor `index`, for its run loop; `nil` if the kernel does all.
  func makeProcessorInterrupts(_ index: Int) throws -> (any ProcessorInterrupts)?

  /// What the controllers hold, other than local APICs in the kernel, as lines of text; any thread may ask.
  var chipReport: [String] { get }
}

extension MachinePlane {
  /// Adds a source of a GSI.
  func makeLine(_ gsi: UInt32) throws(InterruptError) -> InterruptSource {
    try router.makeSource(of: GSI(gsi))
  }
}
