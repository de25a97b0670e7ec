import Glibc
import GuestMemory
import Testing

@Suite struct HugePageTests {
  private static let folder = "/sys/kernel/mm/transparent_hugepage"

  /// The flags of the mapping at `address`, as /proc/self/smaps tells them.
  private func flags(at address: UInt) throws -> [Substring] {
    let file = try #require(fopen("/proc/self/smaps", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 4096)
    var isOurs = false
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
        as: UTF8.self
      )
      if text.hasPrefix(String(address, radix: 16) + "-") { isOurs = true }
      if isOurs, text.hasPrefix("VmFlags:") { return text.split(whereSeparator: \.isWhitespace) }
    }
    return []
  }

  @Test(.enabled(if: access(folder, F_OK) == 0, "this kernel has no transparent huge pages"))
  func guestMemoryAsksForHugePages() throws {
    let memory = try GuestMemory(count: 64 << 20)
    let region = try #require(memory.regions.first)
    #expect(try flags(at: memory.unsafeHostAddress(of: region)).contains("hg"))
  }
}
