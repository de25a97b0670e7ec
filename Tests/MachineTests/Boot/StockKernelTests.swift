import Glibc
import Machine
import Testing

/// A distribution's own kernels, where the environment says where they are.
@Suite struct StockKernelTests {
  private static func path(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }

  @Test(
    .enabled(
      if: path("APUS_TEST_KERNEL_BZIMAGE") != nil,
      "APUS_TEST_KERNEL_BZIMAGE names no Debian bzImage"
    )
  )
  func aStockBzImageIsLoadedWhereItPrefers() throws {
    let path = try #require(Self.path("APUS_TEST_KERNEL_BZIMAGE"))
    let fixture = try BootFixture(size: 256 << 20)
    let loader = try Bootloader(BootRequest(kernel: path, commandLine: "console=ttyS0"))
    let state = try loader.load(into: fixture.memory, map: fixture.map, rsdp: fixture.rsdp)
    #expect(state.bootProtocol == .linux)
    #expect(state.cpu.rip == 0x100_0200)
    // What is at the 64-bit entry is code, not zeros.
    #expect(try fixture.load64(state.cpu.rip) != 0)
  }

  @Test(
    .enabled(
      if: path("APUS_TEST_KERNEL_PVH") != nil,
      "APUS_TEST_KERNEL_PVH names no Debian vmlinux"
    )
  )
  func aStockVmlinuxIsLoadedAtItsPVHEntry() throws {
    let path = try #require(Self.path("APUS_TEST_KERNEL_PVH"))
    let fixture = try BootFixture(size: 256 << 20)
    let loader = try Bootloader(BootRequest(kernel: path))
    let state = try loader.load(into: fixture.memory, map: fixture.map, rsdp: fixture.rsdp)
    #expect(state.bootProtocol == .pvh)
    #expect(state.cpu.rip >= 0x100_0000)
    #expect(try fixture.load64(state.cpu.rip) != 0)
  }
}
