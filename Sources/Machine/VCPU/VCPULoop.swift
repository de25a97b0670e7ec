import DeviceModel
import KVM
import Synchronization

/// One vCPU's run loop: from exit to device and back, on the vCPU's own thread.
///
/// No lock is taken and nothing allocated between an exit and its device.
struct VCPULoop {
  let vcpu: VCPU
  let memory: BusView
  let ports: BusView
  let control: RunControl
  let inspection: VCPUInspection
  /// The part of the processor's interrupts that is in this process, if any is.
  let interrupts: (any ProcessorInterrupts)?
  /// Whether the state of the local APIC is to be known after the end.
  var notesInterrupts = false

  /// Runs the guest until the run is over; the outcome is in `control`.
  func run() {
    vcpu.attachToCurrentThread()
    while !control.isEnding {
      do throws(KVMError) {
        if let interrupts, try !interrupts.prepare(vcpu) {
          try inspection.answer(for: vcpu, interrupts)
          continue
        }
        let exit = try vcpu.run()
        if let interrupts, try interrupts.handle(exit, vcpu) { continue }
        try handle(exit)
      } catch {
        control.end(.failed("vCPU \(vcpu.id): \(error)"))
      }
    }
    if notesInterrupts { inspection.noteLocalAPIC(of: vcpu) }
    vcpu.detachFromThread()
  }

  private func handle(_ exit: VCPUExit) throws(KVMError) {
    switch exit {
    case .port(let access): port(access)
    case .mmio(let access):
      if access.isWrite {
        memory.write(access.value, at: access.address, width: access.width)
      } else {
        vcpu.completeMMIORead(memory.read(access.address, width: access.width))
      }
    case .interrupted: try inspection.answer(for: vcpu, interrupts)
    case .shutdown: control.end(.tripleFault)
    case .systemEvent(let type): systemEvent(type)
    case .internalError(let suberror): fail(suberror)
    case .failEntry(let reason):
      control.end(
        .failed("vCPU \(vcpu.id): the processor refused to enter the guest (\(hex(reason)))")
      )
    case .hlt, .ioapicEOI, .irqWindowOpen, .taskPriorityLowered, .readMSR, .writeMSR, .debug:
      // None of these was asked for: what is in the kernel is dealt with there, and the rest was above.
      control.end(.failed("vCPU \(vcpu.id): KVM exit \(exit), which was not asked for"))
    case .unknown(let reason, let hardware):
      control.end(.failed("vCPU \(vcpu.id): unknown KVM exit \(reason) (\(hex(hardware)))"))
    }
  }

  private func port(_ access: VCPUExit.Port) {
    let address = UInt64(access.port)
    for index in 0..<access.count {
      if access.isWrite {
        ports.write(UInt64(vcpu.portItem(index)), at: address, width: access.width)
      } else {
        let value = ports.read(address, width: access.width)
        vcpu.setPortItem(index, to: UInt32(truncatingIfNeeded: value))
      }
    }
  }

  /// Numbers of linux/kvm.h (api.rst, 5, KVM_EXIT_SYSTEM_EVENT).
  private func systemEvent(_ type: UInt32) {
    switch type {
    case 1: control.end(.powerOff)
    case 2: control.end(.reset)
    case 3: control.end(.failed("the guest's kernel says that it crashed"))
    default: control.end(.failed("vCPU \(vcpu.id): unknown KVM system event \(type)"))
    }
  }

  private func fail(_ suberror: UInt32) {
    let address = (try? vcpu.registers()).map { " at \(hex($0.rip))" } ?? ""
    let data = vcpu.exitData.map { hex($0) }.joined(separator: " ")
    let what =
      suberror == 1 ? "cannot emulate the guest's instruction" : "internal error \(suberror)"
    control.end(.failed("vCPU \(vcpu.id): KVM \(what)\(address) (\(data))"))
  }
}
