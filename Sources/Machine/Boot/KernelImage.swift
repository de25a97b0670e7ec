/// A kernel file of a known kind, its headers read and checked; nothing is loaded yet.
enum KernelImage: Sendable {
  case linux(LinuxImage)
  case multiboot(MultibootImage)
  case pvh(ELFImage, entry: UInt32)

  /// Finds out what `file` is: a bzImage, a Multiboot image, or an ELF with a PVH note, in that order.
  ///
  /// - Parameters:
  ///   - file: The kernel.
  ///   - choice: The one protocol to look for, if the user chose.
  /// - Throws: ``BootError`` if it is none of them, or one with headers that cannot be.
  init(_ file: BootFile, as choice: BootProtocol?) throws(BootError) {
    let prefix = try file.prefix(MultibootImage.searchLimit)
    func tries(_ candidate: BootProtocol) -> Bool { choice == nil || choice == candidate }

    if tries(.linux), LinuxImage.isBzImage(prefix) {
      self = .linux(try LinuxImage(file))
      return
    }
    if tries(.multiboot), let header = MultibootHeader(searching: prefix) {
      self = .multiboot(try MultibootImage(file, header))
      return
    }
    let firstBytes = Array(prefix.prefix(8))
    guard tries(.pvh), ELFImage.isELF(prefix) else {
      throw .unknownFormat(path: file.path, firstBytes: firstBytes, expected: choice)
    }
    let image = try ELFImage(file)
    guard let entry = image.pvhEntry else {
      throw .noPVHNote(path: file.path, firstBytes: firstBytes)
    }
    self = .pvh(image, entry: entry)
  }

  /// The protocol that it is loaded with.
  var bootProtocol: BootProtocol {
    switch self {
    case .linux: .linux
    case .multiboot: .multiboot
    case .pvh: .pvh
    }
  }
}
