import DeviceModel
import KVM

/// The part of a processor's interrupts that is in this process; called on the vCPU's own thread alone, but for
/// ``wake()``.
protocol ProcessorInterrupts: AnyObject, Sendable {
  /// Sets up a vCPU that has not run yet and sees `memory`; on the thread that makes it.
  func start(_ vcpu: VCPU, memory: BusView) throws
  /// Does what must be done before the next run.
  ///
  /// - Returns: Whether the vCPU is to run; `false` to be asked again, after it has waited or was told to look
  ///   at its requests.
  func prepare(_ vcpu: VCPU) throws(KVMError) -> Bool
  /// Takes an exit that is about interrupts.
  ///
  /// - Returns: Whether it was one.
  func handle(_ exit: VCPUExit, _ vcpu: VCPU) throws(KVMError) -> Bool
  /// Whether nothing but an NMI or a start-up interrupt can wake the processor; `nil` if the kernel knows.
  var isStopped: Bool? { get }
  /// The processor's state; its thread does not run, or not on.
  func state(of vcpu: VCPU) throws -> InterruptState.Processor
  /// Puts back a state of a processor in any mode; before the vCPU's thread runs, after its registers were set.
  func restore(_ state: InterruptState.Processor, to vcpu: VCPU) throws
  /// Ends a wait in ``prepare(_:)``; any thread may call.
  func wake()
}
