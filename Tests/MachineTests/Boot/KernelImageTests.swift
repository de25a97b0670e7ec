import GuestMemory
import Machine
import Testing

@Suite struct KernelImageTests {
  private static let images = [
    Images.bzImage(payload: Array(repeating: 1, count: 64)).bytes, Images.elf64().bytes,
    Images.multibootELF().bytes, Images.multibootFlat().bytes,
  ]

  @Test func aFileThatIsNoKernelIsRefusedWithItsFirstBytes() throws {
    let kernel = try TemporaryFile(Array("hello, world".utf8))
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(
      error?.description
        == "\(kernel.path): neither a bzImage, an ELF with a PVH note, nor a Multiboot image; "
        + "starts with 68 65 6c 6c 6f 2c 20 77"
    )
  }

  @Test func anEmptyFileIsRefused() throws {
    let kernel = try TemporaryFile([])
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(error?.description.hasSuffix("it is empty") == true)
  }

  @Test(arguments: ["/", "/dev/null", "/dev/zero"])
  func whatIsNoRegularFileIsRefused(path: String) {
    #expect(throws: BootError.notAFile(path: path)) {
      try Bootloader(BootRequest(kernel: path))
    }
  }

  @Test func aMissingFileIsNamed() {
    let error = #expect(throws: BootError.self) {
      try Bootloader(BootRequest(kernel: "/nowhere/vmlinuz"))
    }
    #expect(error?.description == "/nowhere/vmlinuz: No such file or directory; check the path")
  }

  @Test func anEmptyInitrdIsRefused() throws {
    let kernel = try TemporaryFile(Images.bzImage().bytes)
    let initrd = try TemporaryFile([])
    #expect(throws: BootError.emptyFile(path: initrd.path)) {
      try Bootloader(BootRequest(kernel: kernel.path, initialFiles: [initrd.path]))
    }
  }

  @Test func multibootGoesBeforePVHUnlessTheUserChooses() throws {
    var image = Images.elf64()
    Images.addMultibootHeader(&image, at: 300)
    let kernel = try TemporaryFile(image.bytes)
    #expect(try Bootloader(BootRequest(kernel: kernel.path)).bootProtocol == .multiboot)
    #expect(
      try Bootloader(BootRequest(kernel: kernel.path, bootProtocol: .pvh)).bootProtocol == .pvh
    )
    let error = #expect(throws: BootError.self) {
      try Bootloader(BootRequest(kernel: kernel.path, bootProtocol: .linux))
    }
    #expect(error?.description.contains("not a bzImage, as asked for; starts with 7f 45") == true)
  }

  @Test func theMultibootHeaderMustBeInTheFirst8192Bytes() throws {
    var image = Bytes(count: 16384)
    Images.addMultibootHeader(&image, at: 8192 - 8)
    #expect(throws: BootError.self) {
      try Bootloader(BootRequest(kernel: TemporaryFile(image.bytes).path))
    }
  }

  @Test(arguments: images.indices)
  func everyTruncatedImageIsRefused(index: Int) throws {
    let fixture = try BootFixture()
    let image = Self.images[index]
    let file = try TemporaryFile([])
    for count in 0..<image.count {
      try file.write(Array(image.prefix(count)))
      // The last 15 bytes of a bzImage's last paragraph may be missing by its own rules.
      guard index != 0 || count < image.count - 15 else { continue }
      // A Multiboot image in an ELF, or a flat one, needs all that its headers promise.
      #expect(throws: BootError.self, "\(count) bytes of image \(index)") {
        try fixture.load(file)
      }
    }
  }

  @Test(arguments: images.indices)
  func noDamagedByteEndsInATrap(index: Int) throws {
    let fixture = try BootFixture(size: 32 << 20)
    let image = Self.images[index]
    let file = try TemporaryFile(image)
    let headers = index == 0 ? 0x1F0..<0x264 : 0..<min(image.count, 312)
    for offset in headers {
      for value in [0, 0x7F, 0xFF] as [UInt8] {
        var damaged = image
        damaged[offset] = value
        try file.write(damaged)
        _ = try? fixture.load(file)
        for further in offset..<min(offset + 8, image.count) { damaged[further] = value }
        try file.write(damaged)
        _ = try? fixture.load(file)
      }
    }
  }

  @Test func aFileThatShrinksAfterOpeningIsAnError() throws {
    let fixture = try BootFixture()
    let file = try TemporaryFile(Images.bzImage().bytes)
    let loader = try Bootloader(BootRequest(kernel: file.path))
    try file.write(Array(Images.bzImage().bytes.prefix(2000)))
    #expect(throws: BootError.self) {
      try loader.load(into: fixture.memory, map: fixture.map, rsdp: nil)
    }
  }
}
