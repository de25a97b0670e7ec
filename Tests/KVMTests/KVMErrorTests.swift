import HostOS
import KVM
import Testing

/// Errors that need no KVM to be seen.
@Suite struct KVMErrorTests {
  @Test func aMissingDeviceIsNamedWithTheRemedy() {
    let error = #expect(throws: KVMError.self) { try KVMSystem(path: "/nowhere/kvm") }

    #expect(error == .noDevice(path: "/nowhere/kvm"))
    #expect(
      error?.description
        == "no /nowhere/kvm: load the kvm_intel or kvm_amd module, or use --accel emulated"
    )
  }

  @Test(arguments: ["/dev/null", "/dev/zero"])
  func anotherDeviceIsNotKVM(path: String) {
    let error = #expect(throws: KVMError.self) { try KVMSystem(path: path) }

    #expect(error == .notKVM(path: path))
    #expect(
      error?.description == "\(path) is not a KVM device: give the path of one, such as /dev/kvm"
    )
  }

  @Test func aDirectoryIsAnErrorOfTheHost() {
    let error = #expect(throws: KVMError.self) { try KVMSystem(path: "/dev") }

    #expect(error?.code == 21)
    #expect(error?.description == "open /dev: Is a directory (errno 21)")
  }

  @Test func aForbiddenDeviceIsNamedWithTheRemedy() {
    #expect(
      KVMError.noPermission(path: "/dev/kvm").description
        == "no permission to open /dev/kvm: add the user to the group kvm and log in again, "
        + "or use --accel emulated"
    )
  }

  @Test func anotherVersionIsNamedWithTheRemedy() {
    #expect(
      KVMError.wrongVersion(path: "/dev/kvm", version: 11).description
        == "/dev/kvm has version 11 of the KVM interface, not 12: "
        + "use a Linux kernel of 2.6.22 or later, or --accel emulated"
    )
  }

  @Test(arguments: [
    (KVMCapability.irqfdResample, "KVM_CAP_IRQFD_RESAMPLE"),
    (KVMCapability.splitIRQChip, "KVM_CAP_SPLIT_IRQCHIP"),
    (KVMCapability(rawValue: 9999), "KVM_CAP number 9999"),
  ])
  func aMissingCapabilityIsNamedWithTheRemedy(capability: KVMCapability, name: String) {
    #expect(
      KVMError.missingCapability(capability).description
        == "this kernel's KVM lacks \(name): use a newer kernel, or --accel emulated"
    )
  }

  @Test func aFailedIoctlIsNamedWithItsArgumentsAndErrno() {
    #expect(
      KVMError.ioctl("KVM_IRQ_LINE", arguments: "GSI 99, level 1", code: 22).description
        == "KVM_IRQ_LINE GSI 99, level 1: Invalid argument (errno 22)"
    )
  }
}
