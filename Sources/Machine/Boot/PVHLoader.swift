import GuestMemory

/// Loads an ELF image and enters it through PVH: 32-bit, no paging, EBX at the start information.
///
/// (Xen `docs/misc/pvh.pandoc` and `public/arch-x86/hvm/start_info.h`, version 1.)
struct PVHLoader {
  let image: ELFImage
  let entry: UInt32
  let kernel: BootFile
  let initrd: InitialRAMDisk?
  let commandLine: String

  /// PVH has no way to ask; this is Linux's limit on x86, and it cuts off silently what is longer.
  private static var commandLineLimit: Int { 2047 }
  private static var startInfoCount: UInt64 { 56 }
  private static var moduleCount: UInt64 { 32 }

  /// Writes kernel, initrd, command line and start information into `memory`.
  func load(
    into memory: GuestMemory,
    _ map: MemoryMap,
    rsdp: GuestAddress?
  ) throws(BootError) -> BootState {
    let line = Array(commandLine.utf8)
    guard line.count <= Self.commandLineLimit else {
      throw .commandLineTooLong(count: line.count, limit: Self.commandLineLimit)
    }
    let memoryEnd = map.lowRAM.upperBound.rawValue
    var placements = [
      BootPlacement(
        "command line",
        BootLayout.commandLine.lowerBound,
        count: UInt64(line.count + 1)
      )
    ]
    var kernelEnd: UInt64 = 0
    for segment in image.segments {
      guard segment.address >= MemoryMap.oneMebibyte else {
        throw .unsupported(
          path: kernel.path,
          problem: "a segment loads at \(segment.address), over boot data; link it above 1M"
        )
      }
      kernelEnd = segment.range.upperBound.rawValue
      guard kernelEnd <= memoryEnd else {
        throw .beyondMemory(item: kernel.path, end: kernelEnd, memoryEnd: memoryEnd)
      }
      placements.append(BootPlacement("kernel", segment.address, count: segment.count))
    }
    guard image.segments.contains(where: { $0.range.contains(GuestAddress(UInt64(entry))) }) else {
      throw .malformed(
        path: kernel.path,
        problem: "the PVH entry 0x\(String(entry, radix: 16)) is in no segment"
      )
    }
    try kernel.load(image.segments, into: memory)
    var range: Range<GuestAddress>?
    if let initrd {
      let place = try initrd.load(into: memory, above: kernelEnd, below: memoryEnd)
      placements.append(BootPlacement("initrd", place.lowerBound, count: place.byteCount))
      range = place
    }
    try memory.place(line + [0], at: BootLayout.commandLine.lowerBound, "command line")
    let info = startInfo(map, initrd: range, rsdp)
    try memory.place(info, at: BootLayout.startInfo, "start information")
    placements.append(
      BootPlacement("start information", BootLayout.startInfo, count: UInt64(info.count))
    )

    var state = CPUStartState(mode: .protected32, rip: UInt64(entry))
    state.rbx = BootLayout.startInfo.rawValue
    try memory.placeMachineState(state)
    return BootState(bootProtocol: .pvh, cpu: state, placements: placements)
  }

  /// The start information, the module list and the memory map, one after the other.
  private func startInfo(
    _ map: MemoryMap,
    initrd: Range<GuestAddress>?,
    _ rsdp: GuestAddress?
  ) -> [UInt8] {
    let modules = BootLayout.startInfo.rawValue + Self.startInfoCount
    let memoryMap = modules + Self.moduleCount
    let entries = map.e820
    var info = BootRecord()
    info.append(0x336E_C578 as UInt32)  // magic: "xEn3" with the high bit of "E" set
    info.append(1 as UInt32)  // version: with a memory map
    info.append(0 as UInt32)  // flags
    info.append(initrd == nil ? 0 : 1 as UInt32)
    info.append(initrd == nil ? 0 : modules)
    info.append(BootLayout.commandLine.lowerBound.rawValue)
    info.append(rsdp?.rawValue ?? 0)
    info.append(memoryMap)
    info.append(UInt32(truncatingIfNeeded: entries.count))
    info.append(0 as UInt32)  // reserved
    info.append(initrd?.lowerBound.rawValue ?? 0)
    info.append(initrd?.byteCount ?? 0)
    info.append(0 as UInt64)  // the module's command line: none
    info.append(0 as UInt64)  // reserved
    for entry in entries {
      info.append(entry.range.lowerBound.rawValue)
      info.append(entry.range.byteCount)
      info.append(entry.kind.rawValue)
      info.append(0 as UInt32)  // reserved
    }
    return info.bytes
  }
}
