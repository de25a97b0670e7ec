import PCI
import Testing

private let memory32 = PCIWindow(base: 0xE000_0000, size: 0x10_0000)
private let memory64 = PCIWindow(base: 0x40_0000_0000, size: 0x1_0000)
private let ports = PCIWindow(base: 0xC010, size: 0x100)

@Test func barsAreNaturallyAlignedAndTheBiggestComesFirst() throws {
  var allocator = PCIResourceAllocator(memory32: memory32, memory64: memory64, ports: ports)
  let small = PCIBAR(0, .memory32(), size: 0x1000)
  let big = PCIBAR(1, .memory32(), size: 0x8000)
  let port = PCIBAR(2, .port, size: 32)
  let wide = PCIBAR(4, .memory64(), size: 0x4000)
  let function = try RegisterFunction(bars: [small, big, port, wide])

  try allocator.assign(to: function)

  #expect(function.configuration.address(of: big) == 0xE000_0000)
  #expect(function.configuration.address(of: small) == 0xE000_8000)
  #expect(function.configuration.address(of: port) == 0xC020)
  #expect(function.configuration.address(of: wide) == 0x40_0000_0000)
}

@Test func aWideBARGoesBelowWhereThereIsNoRoomAbove() throws {
  var allocator = PCIResourceAllocator(memory32: memory32, memory64: memory64)
  let bar = PCIBAR(0, .memory64(), size: 0x2_0000)
  let function = try RegisterFunction(bars: [bar])

  try allocator.assign(to: function)

  #expect(function.configuration.address(of: bar) == 0xE000_0000)
}

@Test func anExhaustedWindowNamesWhoAskedAndGivesNothing() throws {
  var allocator = PCIResourceAllocator(memory32: memory32)
  let small = PCIBAR(0, .memory32(), size: 0x8_0000)
  let function = try RegisterFunction(
    "disk7",
    bars: [small, PCIBAR(1, .memory32(), size: 0x10_0000)]
  )

  let error = #expect(throws: PCIError.self) { try allocator.assign(to: function) }
  let other = try RegisterFunction(bars: [PCIBAR(0, .memory32(), size: 0x10_0000)])
  try allocator.assign(to: other)

  #expect(error == .windowExhausted(owner: "disk7", bar: 0, size: 0x8_0000))
  #expect(function.configuration.address(of: small) == 0)
}

@Test func portsWithoutAWindowAreAnError() throws {
  var allocator = PCIResourceAllocator(memory32: memory32)
  let function = try RegisterFunction(bars: [PCIBAR(0, .port, size: 32)])

  #expect(throws: PCIError.self) { try allocator.assign(to: function) }
}

@Test func releasedAddressesAreHandedOutAgain() throws {
  var allocator = PCIResourceAllocator(memory32: memory32)
  let bar = PCIBAR(0, .memory32(), size: 0x10_0000)
  try allocator.assign(to: RegisterFunction(bars: [bar]))

  allocator.release(bar, at: 0xE000_0000)

  let function = try RegisterFunction(bars: [bar])
  try allocator.assign(to: function)
  #expect(function.configuration.address(of: bar) == 0xE000_0000)
}
