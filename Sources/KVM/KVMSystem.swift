import CLinux
import Glibc
import HostOS

/// The host's KVM as a whole: what it can do, and where virtual machines come from (api.rst, 4.1).
///
/// Any thread may call any method.
public final class KVMSystem: Sendable {
  /// Where Linux puts the device.
  public static var defaultPath: String { "/dev/kvm" }
  /// The version of the interface that is spoken here, and the only stable one (api.rst, 4.1).
  public static var apiVersion: Int32 { KVM_API_VERSION }

  /// The path of the device.
  public let path: String
  private let descriptor: OwnedFileDescriptor

  /// Opens the device and checks that it speaks version 12 of the interface.
  ///
  /// - Throws: ``KVMError`` that says why there is no KVM to be had, and what to do.
  public init(path: String = KVMSystem.defaultPath) throws(KVMError) {
    self.path = path
    do throws(SystemError) {
      descriptor = try OwnedFileDescriptor(opening: path, O_RDWR)
    } catch {
      switch error.code {
      case ENOENT, ENODEV, ENXIO: throw .noDevice(path: path)
      case EACCES, EPERM: throw .noPermission(path: path)
      default: throw .system(error)
      }
    }
    let version: Int32
    do throws(KVMError) {
      version = try descriptor.perform(.getAPIVersion)
    } catch {
      // Any error means that some other driver or file system got the number.
      throw .notKVM(path: path)
    }
    guard version == Self.apiVersion else { throw .wrongVersion(path: path, version: version) }
  }

  /// How much of a capability there is: 0 for nothing, 1 or a number of its own (api.rst, 4.4).
  public func check(_ capability: KVMCapability) throws(KVMError) -> Int {
    Int(
      try descriptor.perform(.checkExtension, UInt(capability.rawValue), capability.description)
    )
  }

  /// Throws ``KVMError/missingCapability(_:)`` for the first capability that is missing.
  public func requireCapabilities(_ capabilities: [KVMCapability]) throws(KVMError) {
    for capability in capabilities where try check(capability) == 0 {
      throw .missingCapability(capability)
    }
  }

  /// The CPUID leaves that KVM and this processor can give a guest (api.rst, 4.46).
  public func supportedCPUID() throws(KVMError) -> [CPUIDEntry] {
    var capacity = 128
    while true {
      var list = FlexibleArray<kvm_cpuid_entry2>(capacity: capacity)
      do throws(KVMError) {
        try descriptor.perform(.getSupportedCPUID, withWords: &list.words, "\(capacity) entries")
        return list.entries.map { CPUIDEntry($0) }
      } catch {
        // E2BIG asks for more room, and does not say how much.
        guard error.code == E2BIG, capacity < 1 << 16 else { throw error }
        capacity *= 2
      }
    }
  }

  /// The model-specific registers that a guest's state consists of (api.rst, 4.3).
  public func msrIndices() throws(KVMError) -> [UInt32] {
    // The header is the count alone.
    var list = FlexibleArray<UInt32>(capacity: 0, headerSize: 4)
    while true {
      do throws(KVMError) {
        try descriptor.perform(.getMSRIndexList, withWords: &list.words)
        return list.entries
      } catch {
        // E2BIG writes the number wanted into the count.
        let wanted = list.count
        guard error.code == E2BIG, wanted > 0 else { throw error }
        list = FlexibleArray<UInt32>(capacity: wanted, headerSize: 4)
      }
    }
  }

  /// The size in bytes of a vCPU's run page and what follows it (api.rst, 4.5).
  public func vcpuMappingSize() throws(KVMError) -> Int {
    Int(try descriptor.perform(.getVCPUMMapSize))
  }

  /// How many vCPUs a virtual machine can have.
  public func maximumVCPUs() throws(KVMError) -> Int {
    // api.rst, 4.7: without the one capability the other counts, and without that it is 4.
    let maximum = try check(.maximumVCPUs)
    if maximum > 0 { return maximum }
    let recommended = try check(.recommendedVCPUs)
    return recommended > 0 ? recommended : 4
  }

  /// Makes a virtual machine with no memory, no vCPUs and no interrupt controllers (api.rst, 4.2).
  ///
  /// - Throws: ``KVMError/missingCapability(_:)`` too, where vCPUs could not be kicked.
  public func makeVM() throws(KVMError) -> VM {
    try requireCapabilities([.userMemory, .immediateExit])
    let size = try vcpuMappingSize()
    let number = try descriptor.perform(.createVM)
    return try VM(adopting: OwnedFileDescriptor(adopting: number), runMappingSize: size)
  }
}
