public import HostOS

/// KVM refused something, or is not there: what was asked, and what to do about it.
public enum KVMError: Error, Equatable, Sendable {
  /// An ioctl failed.
  ///
  /// - Parameters:
  ///   - ioctl: Its name in linux/kvm.h.
  ///   - arguments: Those that matter, as text; empty if there are none.
  ///   - code: The value of `errno`.
  case ioctl(_ ioctl: String, arguments: String, code: Int32)
  /// There is no KVM device at the path.
  case noDevice(path: String)
  /// The user may not open the device.
  case noPermission(path: String)
  /// The file at the path is something else.
  case notKVM(path: String)
  /// The device speaks another version of the interface than 12, which is the only stable one.
  case wrongVersion(path: String, version: Int32)
  /// The kernel's KVM cannot do something that is needed.
  case missingCapability(KVMCapability)
  /// KVM does not know the register with this number, or refuses its value.
  case refusedMSR(_ ioctl: String, index: UInt32)
  /// The guest touched memory whose host pages could not be had (`KVM_EXIT_MEMORY_FAULT`).
  case memoryFault(guestAddress: UInt64, size: UInt64, code: Int32)
  /// Another call to the host failed.
  case system(SystemError)

  /// The value of `errno`, for the cases that have one.
  public var code: Int32? {
    switch self {
    case .ioctl(_, _, let code), .memoryFault(_, _, let code): code
    case .system(let error): error.code
    case .noDevice, .noPermission, .notKVM, .wrongVersion, .missingCapability, .refusedMSR: nil
    }
  }
}

extension KVMError: CustomStringConvertible {
  /// One line that names the thing, the value and the remedy.
  public var description: String {
    switch self {
    case .ioctl(let name, let arguments, let code):
      SystemError(call: name, code: code, subject: arguments).description
    case .noDevice(let path):
      "no \(path): load the kvm_intel or kvm_amd module, or use --accel emulated"
    case .noPermission(let path):
      "no permission to open \(path): add the user to the group kvm and log in again, "
        + "or use --accel emulated"
    case .notKVM(let path):
      "\(path) is not a KVM device: give the path of one, such as \(KVMSystem.defaultPath)"
    case .wrongVersion(let path, let version):
      "\(path) has version \(version) of the KVM interface, not \(KVMSystem.apiVersion): "
        + "use a Linux kernel of 2.6.22 or later, or --accel emulated"
    case .missingCapability(let capability):
      "this kernel's KVM lacks \(capability): use a newer kernel, or --accel emulated"
    case .refusedMSR(let name, let index):
      "\(name): model-specific register \(hexadecimal(index)) is unknown to KVM, "
        + "or the value is not allowed"
    case .memoryFault(let address, let size, let code):
      SystemError(
        call: "KVM_RUN",
        code: code,
        subject: "guest access to \(size) bytes at \(hexadecimal(address))"
      ).description
    case .system(let error): error.description
    }
  }
}

/// The number as text, with the prefix `0x`.
func hexadecimal(_ value: some BinaryInteger) -> String { "0x" + String(value, radix: 16) }
