import GuestMemory

/// Loads a bzImage and prepares its 64-bit entry.
///
/// (Linux `Documentation/arch/x86/boot.rst`, "64-bit Boot Protocol", and `zero-page.rst`.)
struct LinuxLoader {
  let image: LinuxImage
  let kernel: BootFile
  let initrd: InitialRAMDisk?
  let commandLine: String

  /// Writes kernel, initrd, command line and boot parameters into `memory`.
  func load(
    into memory: GuestMemory,
    _ map: MemoryMap,
    rsdp: GuestAddress?
  ) throws(BootError) -> BootState {
    let line = Array(commandLine.utf8)
    guard line.count <= image.commandLineLimit else {
      throw .commandLineTooLong(count: line.count, limit: image.commandLineLimit)
    }
    let kernelEnd = image.address.rawValue + image.initSize
    guard kernelEnd <= map.lowRAM.upperBound.rawValue else {
      throw .beyondMemory(
        item: kernel.path,
        end: kernelEnd,
        memoryEnd: map.lowRAM.upperBound.rawValue
      )
    }
    var placements = [
      BootPlacement("kernel", image.address, count: image.initSize),
      BootPlacement("boot parameters", BootLayout.zeroPage, count: 4096),
      BootPlacement("page tables", BootLayout.pageTable, count: 6 * 4096),
      BootPlacement(
        "command line",
        BootLayout.commandLine.lowerBound,
        count: UInt64(line.count + 1)
      ),
    ]

    let payload = kernel.count - image.payloadOffset
    try kernel.load(
      from: image.payloadOffset,
      count: payload,
      into: memory,
      at: image.address,
      what: "the kernel"
    )
    var range: Range<GuestAddress>?
    if let initrd {
      // "The highest address that may be occupied by the initial ramdisk": inclusive.
      let limit = min(map.lowRAM.upperBound.rawValue, image.initrdAddressMax + 1)
      let place = try initrd.load(into: memory, above: kernelEnd, below: limit)
      placements.append(BootPlacement("initrd", place.lowerBound, count: place.byteCount))
      range = place
    }
    try memory.place(line + [0], at: BootLayout.commandLine.lowerBound, "command line")
    try memory.place(zeroPage(map, initrd: range, rsdp), at: BootLayout.zeroPage, "zero page")
    try memory.placeIdentityPageTable(at: BootLayout.pageTable)

    // "The kernel is started by jumping to the 64-bit kernel entry point, which is the start
    // address of loaded 64-bit kernel plus 0x200"; RSI holds the address of the zero page.
    var state = CPUStartState(
      mode: .long(pageTable: BootLayout.pageTable),
      rip: image.address.rawValue + 0x200
    )
    state.rsi = BootLayout.zeroPage.rawValue
    try memory.placeMachineState(state)
    return BootState(bootProtocol: .linux, cpu: state, placements: placements)
  }

  private func zeroPage(
    _ map: MemoryMap,
    initrd: Range<GuestAddress>?,
    _ rsdp: GuestAddress?
  ) -> [UInt8] {
    // "The structure should be zeroed, then the setup header copied in."
    var page = BootRecord(count: 4096)
    page.store(image.setupHeader, at: LinuxImage.headerOffset)
    page.store(0xFFFF as UInt16, at: 0x1FA)  // vid_mode: normal
    page.store(0xFF as UInt8, at: 0x210)  // type_of_loader: one without an assigned number
    page.store(UInt32(truncatingIfNeeded: image.address.rawValue), at: 0x214)  // code32_start
    let line = BootLayout.commandLine.lowerBound.rawValue
    page.store(UInt32(truncatingIfNeeded: line), at: 0x228)
    page.store(UInt32(truncatingIfNeeded: initrd?.lowerBound.rawValue ?? 0), at: 0x218)
    page.store(UInt32(truncatingIfNeeded: initrd?.byteCount ?? 0), at: 0x21C)
    // acpi_rsdp_addr came with protocol 2.14; older kernels search for the RSDP themselves.
    if let rsdp, image.version >= 0x20E { page.store(rsdp.rawValue, at: 0x070) }

    let entries = map.e820
    page.store(UInt8(truncatingIfNeeded: entries.count), at: 0x1E8)
    for (index, entry) in entries.enumerated() {
      let offset = 0x2D0 + index * 20
      page.store(entry.range.lowerBound.rawValue, at: offset)
      page.store(entry.range.byteCount, at: offset + 8)
      page.store(entry.kind.rawValue, at: offset + 16)
    }
    return page.bytes
  }
}
