import GuestMemory

/// Loads a Multiboot image with its modules and writes its information structure.
///
/// (Multiboot Specification 0.6.96, 3.2 and 3.3.)
struct MultibootLoader {
  let image: MultibootImage
  let kernel: BootFile
  let modules: [MultibootModule]
  let commandLine: String

  /// Writes kernel, modules and information into `memory`.
  func load(into memory: GuestMemory, _ map: MemoryMap) throws(BootError) -> BootState {
    let imageEnd = try check(map)
    var placements = image.segments.map {
      BootPlacement("kernel", $0.address, count: $0.count)
    }
    try kernel.load(image.segments, into: memory)

    // Modules follow the image, each on a page of its own, whether or not flag bit 0 asks for it.
    var next = pageUp(max(imageEnd, MemoryMap.oneMebibyte.rawValue))
    var ranges: [Range<GuestAddress>] = []
    for module in modules {
      let limit = map.lowRAM.upperBound.rawValue
      guard next <= limit, module.file.count <= limit - next else {
        throw .noRoom(
          item: module.file.path,
          count: module.file.count,
          lowest: next,
          limit: limit
        )
      }
      let address = GuestAddress(next)
      try module.file.load(
        from: 0,
        count: module.file.count,
        into: memory,
        at: address,
        what: "the module"
      )
      ranges.append(address..<(address &+ module.file.count))
      placements.append(BootPlacement("module", address, count: module.file.count))
      next = pageUp(next + module.file.count)
    }

    let texts = modules.map(\.text)
    // A command line starts with the kernel's name, as boot loaders have always passed it.
    let line = commandLine.isEmpty ? kernel.path : kernel.path + " " + commandLine
    let size = MultibootInfo.count(map, texts, line)
    let address = try place(size, after: next, map)
    let info = MultibootInfo.bytes(at: address, map, modules: zip(ranges, texts).map { $0 }, line)
    try memory.place(info, at: address, "Multiboot information")
    placements.append(BootPlacement("Multiboot information", address, count: UInt64(info.count)))

    var state = CPUStartState(mode: .protected32, rip: UInt64(image.entry))
    state.rax = 0x2BAD_B002
    state.rbx = address.rawValue
    try memory.placeMachineState(state)
    return BootState(bootProtocol: .multiboot, cpu: state, placements: placements)
  }

  /// Checks that every segment lies in RAM that is free, and returns the end of the last.
  private func check(_ map: MemoryMap) throws(BootError) -> UInt64 {
    let memoryEnd = map.lowRAM.upperBound.rawValue
    let hole = MemoryMap.extendedBIOSData.lowerBound..<MemoryMap.oneMebibyte
    var end: UInt64 = 0
    for segment in image.segments {
      end = segment.range.upperBound.rawValue
      guard end <= memoryEnd else {
        throw .beyondMemory(item: kernel.path, end: end, memoryEnd: memoryEnd)
      }
      guard segment.address >= BootLayout.lowestLoad, !segment.range.overlaps(hole) else {
        throw .unsupported(
          path: kernel.path,
          problem: "loads at \(segment.address), \(segment.count) bytes, over memory of the "
            + "firmware; link it above 1M"
        )
      }
    }
    return end
  }

  /// Where the information goes: conventional memory, or above all else if the image is there.
  private func place(
    _ size: UInt64,
    after next: UInt64,
    _ map: MemoryMap
  ) throws(BootError) -> GuestAddress {
    let low = BootLayout.multibootInfo..<(BootLayout.multibootInfo &+ size)
    if low.upperBound <= MemoryMap.extendedBIOSData.lowerBound,
      !image.segments.contains(where: { $0.range.overlaps(low) })
    {
      return low.lowerBound
    }
    let limit = map.lowRAM.upperBound.rawValue
    guard next <= limit, size <= limit - next else {
      throw .noRoom(item: "Multiboot information", count: size, lowest: next, limit: limit)
    }
    return GuestAddress(next)
  }

  private func pageUp(_ address: UInt64) -> UInt64 {
    (address + GuestMemory.pageSize - 1) & ~(GuestMemory.pageSize - 1)
  }
}
