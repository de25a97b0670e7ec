import CLinux
import Glibc
import HostOS

/// A virtual machine: memory slots, interrupt controllers, event descriptors, and vCPUs.
///
/// Any thread may call any method, while vCPUs run; the kernel orders the calls. The machine lives
/// in the kernel until this object and the last of its vCPUs are gone.
public final class VM: Sendable {
  let descriptor: OwnedFileDescriptor
  private let runMappingSize: Int
  private let xsaveSize: Int

  init(
    adopting descriptor: consuming OwnedFileDescriptor,
    runMappingSize: Int
  ) throws(KVMError) {
    self.descriptor = descriptor
    self.runMappingSize = runMappingSize
    // api.rst, 4.42: the size is asked of the VM; without the capability it is 4096.
    let size = try self.descriptor.perform(.checkExtension, UInt(KVMCapability.xsave2.rawValue))
    xsaveSize = max(Int(size), XSaveState.minimumSize)
  }

  /// How much of a capability this machine has: 0 for nothing, 1 or a number of its own
  /// (api.rst, 4.4).
  public func check(_ capability: KVMCapability) throws(KVMError) -> Int {
    Int(
      try descriptor.perform(.checkExtension, UInt(capability.rawValue), capability.description)
    )
  }

  /// Turns on a capability that is off unless asked for (api.rst, 4.37 and 7).
  ///
  /// - Parameters:
  ///   - capability: Which one.
  ///   - argument: What its section of api.rst calls `args[0]`.
  /// - Throws: ``KVMError``, `EINVAL` for a capability or an argument that is not known.
  public func enableCapability(
    _ capability: KVMCapability,
    argument: UInt64 = 0
  ) throws(KVMError) {
    var raw = kvm_enable_cap()
    raw.cap = capability.rawValue
    raw.args.0 = argument
    try descriptor.perform(
      .enableCapability,
      with: &raw,
      "\(capability), argument \(hexadecimal(argument))"
    )
  }

  /// Makes a vCPU (api.rst, 4.7).
  ///
  /// - Parameters:
  ///   - id: Its number, which is its local APIC's identifier too.
  ///   - kickSignal: The signal that its kicker sends, for which the process must have an empty
  ///     handler: `Signals.installWakeUpHandler(for:)`.
  /// - Throws: ``KVMError``, `EEXIST` for a number that is taken.
  /// - Returns: The vCPU, which belongs to one thread at a time.
  public func makeVCPU(
    _ id: UInt32,
    kickSignal: Int32 = VCPUKicker.defaultSignal
  ) throws(KVMError) -> sending VCPU {
    let number = try descriptor.perform(.createVCPU, UInt(id), "vCPU \(id)")
    return try VCPU(
      id: id,
      adopting: OwnedFileDescriptor(adopting: number),
      runMappingSize: runMappingSize,
      xsaveSize: xsaveSize,
      kickSignal: kickSignal
    )
  }

  /// The guest's clock, which is kvmclock's, in nanoseconds (api.rst, 4.29).
  public func clock() throws(KVMError) -> ClockState {
    var raw = kvm_clock_data()
    try descriptor.perform(.getClock, with: &raw)
    return ClockState(raw)
  }

  /// Sets the guest's clock (api.rst, 4.30).
  public func setClock(_ clock: ClockState) throws(KVMError) {
    var raw = clock.raw
    try descriptor.perform(.setClock, with: &raw, "to \(clock.nanoseconds) ns")
  }
}
