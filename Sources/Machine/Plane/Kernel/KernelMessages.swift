import DeviceModel
import Interrupts
import KVM

/// Local APICs in the kernel, as a target of messages (api.rst, 4.71).
final class KernelMessages: MessageTarget {
  private let vm: VM

  init(_ vm: VM) { self.vm = vm }

  func deliver(_ message: InterruptMessage) -> InterruptDelivery {
    do throws(KVMError) {
      let isTaken = try vm.signalMSI(address: message.address, data: message.data)
      // One that was pending already counts as taken; none is only where the local APIC takes nothing.
      return isTaken ? .delivered : .ignored
    } catch {
      // A message to no processor is the guest's business.
      return .ignored
    }
  }
}
