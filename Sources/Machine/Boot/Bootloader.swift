public import GuestMemory

/// Finds out what a kernel is, loads it, and says how the first CPU enters it.
///
/// Made before the machine, so that a wrong path or file is refused before anything is set up; used
/// once at the start and again at each reset, which finds the files open and the memory dirty.
/// Any thread may call it while no vCPU runs.
public final class Bootloader: Sendable {
  /// The protocol that the kernel is loaded with.
  public let bootProtocol: BootProtocol
  private let request: BootRequest
  private let kernel: BootFile
  private let image: KernelImage
  private let initrd: InitialRAMDisk?
  private let modules: [MultibootModule]

  /// Opens the files of `request` and checks the kernel's headers.
  ///
  /// - Throws: ``BootError``, one line for the user.
  public init(_ request: BootRequest) throws(BootError) {
    self.request = request
    kernel = try BootFile(opening: request.kernel)
    image = try KernelImage(kernel, as: request.bootProtocol)
    bootProtocol = image.bootProtocol
    var modules: [MultibootModule] = []
    if bootProtocol == .multiboot {
      for text in request.initialFiles { modules.append(try MultibootModule(opening: text)) }
      initrd = nil
    } else {
      initrd = try InitialRAMDisk(opening: request.initialFiles)
    }
    self.modules = modules
  }

  /// Loads everything into `memory`, whose layout is that of `map`.
  ///
  /// - Parameters:
  ///   - memory: The guest's RAM.
  ///   - map: The layout that it was made with.
  ///   - rsdp: Where the ACPI tables start, if there are any; they are not written here.
  /// - Returns: The registers of the first CPU, and what is where.
  /// - Throws: ``BootError`` if something does not fit or cannot be read.
  public func load(
    into memory: GuestMemory,
    map: MemoryMap,
    rsdp: GuestAddress?
  ) throws(BootError) -> BootState {
    switch image {
    case .linux(let image):
      try LinuxLoader(
        image: image,
        kernel: kernel,
        initrd: initrd,
        commandLine: request.commandLine
      ).load(into: memory, map, rsdp: rsdp)
    case .pvh(let image, let entry):
      try PVHLoader(
        image: image,
        entry: entry,
        kernel: kernel,
        initrd: initrd,
        commandLine: request.commandLine
      ).load(into: memory, map, rsdp: rsdp)
    case .multiboot(let image):
      try MultibootLoader(
        image: image,
        kernel: kernel,
        modules: modules,
        commandLine: request.commandLine
      ).load(into: memory, map)
    }
  }
}
