import CLinux

/// The kernel's `struct kvm_vcpu_events` and back.
extension VCPUEvents {
  init(_ raw: kvm_vcpu_events) {
    let valid = Valid(rawValue: raw.flags)
    exception.isInjected = raw.exception.injected != 0
    exception.isPending = raw.exception.pending != 0
    exception.vector = raw.exception.nr
    exception.errorCode = raw.exception.has_error_code != 0 ? raw.exception.error_code : nil
    exception.payload = raw.exception_has_payload != 0 ? raw.exception_payload : nil
    interrupt.isInjected = raw.interrupt.injected != 0
    interrupt.vector = raw.interrupt.nr
    interrupt.isSoftware = raw.interrupt.soft != 0
    interrupt.shadow = raw.interrupt.shadow
    nmi.isInjected = raw.nmi.injected != 0
    nmi.isPending = raw.nmi.pending != 0
    nmi.isMasked = raw.nmi.masked != 0
    if valid.contains(.smm) {
      var smi = SMI()
      smi.isInSMM = raw.smi.smm != 0
      smi.isPending = raw.smi.pending != 0
      smi.isInsideNMI = raw.smi.smm_inside_nmi != 0
      smi.hasLatchedINIT = raw.smi.latched_init != 0
      self.smi = smi
    }
    // KVM_GET_VCPU_EVENTS never marks it valid, so that a plain save and restore leaves it alone.
    if valid.contains(.sipiVector) { sipiVector = raw.sipi_vector }
    if valid.contains(.tripleFault) { hasTripleFault = raw.triple_fault.pending != 0 }
    hasPayloads = valid.contains(.payload)
  }

  var raw: kvm_vcpu_events {
    var raw = kvm_vcpu_events()
    var valid: Valid = [.nmiPending, .shadow]
    raw.exception.injected = exception.isInjected ? 1 : 0
    raw.exception.pending = exception.isPending ? 1 : 0
    raw.exception.nr = exception.vector
    raw.exception.has_error_code = exception.errorCode == nil ? 0 : 1
    raw.exception.error_code = exception.errorCode ?? 0
    raw.exception_has_payload = exception.payload == nil ? 0 : 1
    raw.exception_payload = exception.payload ?? 0
    raw.interrupt.injected = interrupt.isInjected ? 1 : 0
    raw.interrupt.nr = interrupt.vector
    raw.interrupt.soft = interrupt.isSoftware ? 1 : 0
    raw.interrupt.shadow = interrupt.shadow
    raw.nmi.injected = nmi.isInjected ? 1 : 0
    raw.nmi.pending = nmi.isPending ? 1 : 0
    raw.nmi.masked = nmi.isMasked ? 1 : 0
    if let smi {
      raw.smi.smm = smi.isInSMM ? 1 : 0
      raw.smi.pending = smi.isPending ? 1 : 0
      raw.smi.smm_inside_nmi = smi.isInsideNMI ? 1 : 0
      raw.smi.latched_init = smi.hasLatchedINIT ? 1 : 0
      valid.insert(.smm)
    }
    if let sipiVector {
      raw.sipi_vector = sipiVector
      valid.insert(.sipiVector)
    }
    if let hasTripleFault {
      raw.triple_fault.pending = hasTripleFault ? 1 : 0
      valid.insert(.tripleFault)
    }
    if hasPayloads { valid.insert(.payload) }
    raw.flags = valid.rawValue
    return raw
  }

  /// Which members the kernel filled in, or is to take.
  private struct Valid: OptionSet {
    let rawValue: UInt32
    static var nmiPending: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_NMI_PENDING)) }
    static var sipiVector: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_SIPI_VECTOR)) }
    static var shadow: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_SHADOW)) }
    static var smm: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_SMM)) }
    static var payload: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_PAYLOAD)) }
    static var tripleFault: Self { Self(rawValue: UInt32(KVM_VCPUEVENT_VALID_TRIPLE_FAULT)) }
  }
}
