import GuestMemory
import HostOS
import KVM

/// A virtual machine with 2 MiB of RAM and one vCPU, for guests of a few instructions.
///
/// It runs on the thread that makes it, for ten seconds at most.
final class TinyGuest {
  /// The processor's mode at the first instruction.
  enum Mode {
    /// 16-bit real mode, all segments at 0.
    case real
    /// 64-bit mode with the first 4 GiB mapped one to one, and an empty IDT with room for all.
    case long
  }

  /// Where the code goes.
  static let codeAddress: UInt64 = 0x1000
  /// Where a handler may go.
  static let handlerAddress: UInt64 = 0x1800
  /// A page for data.
  static let dataAddress: UInt64 = 0x2000
  private static let gdtAddress: UInt64 = 0x6000
  private static let idtAddress: UInt64 = 0x7000
  private static let stackTop: UInt64 = 0xA000
  private static let pageTablesAddress: UInt64 = 0x10000

  let memory: GuestMemory
  let vm: VM
  let vcpu: VCPU
  private let watchdog: Watchdog

  /// Makes a machine with `code` at ``codeAddress``.
  ///
  /// - Parameters:
  ///   - mode: The processor's mode.
  ///   - code: The first instructions.
  ///   - configure: What is done to the machine before its vCPU is made.
  /// - Throws: `KVMError` if KVM refuses any of it.
  init(_ mode: Mode, _ code: [UInt8], configure: (VM) throws -> Void = { _ in }) throws {
    try Signals.installWakeUpHandler(for: VCPUKicker.defaultSignal)
    let system = try KVMSystem()
    memory = try GuestMemory(count: 0x200000)
    vm = try system.makeVM()
    // Pages that Intel processors need, out of the way of everything else.
    try vm.setIdentityMapAddress(0xFFFB_C000)
    try vm.setTSSAddress(0xFFFB_D000)
    try vm.setMemoryRegion(
      slot: 0,
      guestAddress: 0,
      size: 0x200000,
      unsafeHostAddress: memory.unsafeHostAddress(of: memory.regions[0])
    )
    try configure(vm)
    vcpu = try vm.makeVCPU(0)
    watchdog = try Watchdog(vcpu.kicker, milliseconds: 10_000)
    vcpu.attachToCurrentThread()
    try vcpu.setCPUID(system.supportedCPUID())
    try memory.write(code, at: GuestAddress(Self.codeAddress))

    var registers = Registers()
    registers.rip = Self.codeAddress
    registers.rsp = Self.stackTop
    try vcpu.setRegisters(registers)
    var special = try vcpu.specialRegisters()
    switch mode {
    case .real: Self.enterRealMode(&special)
    case .long:
      try writeTables()
      Self.enterLongMode(&special)
    }
    try vcpu.setSpecialRegisters(special)
  }

  deinit { vcpu.detachFromThread() }

  /// Runs to the next exit, whatever it is.
  func run() throws -> VCPUExit {
    let exit = try vcpu.run()
    try watchdog.check()
    return exit
  }

  /// Runs to the next exit that is not an interruption.
  func next() throws -> VCPUExit {
    while true {
      let exit = try run()
      if exit != .interrupted { return exit }
    }
  }

  /// Gives a vector a handler, at ``handlerAddress`` (64-bit mode; SDM volume 3A, 6.14.1).
  func setHandler(_ code: [UInt8], for vector: UInt8) throws {
    let handler = Self.handlerAddress
    try memory.write(code, at: GuestAddress(handler))
    // Present, privilege 0, interrupt gate, to the code segment; the address in three parts.
    let low = handler & 0xFFFF | 8 << 16 | 0x8E00 << 32 | (handler >> 16 & 0xFFFF) << 48
    try memory.store64(low, at: GuestAddress(Self.idtAddress + UInt64(vector) * 16))
    try memory.store64(handler >> 32, at: GuestAddress(Self.idtAddress + UInt64(vector) * 16 + 8))
  }

  private static func enterRealMode(_ special: inout SpecialRegisters) {
    special.cs = .realMode(selector: 0, isCode: true)
    for segment in [\SpecialRegisters.ds, \.es, \.fs, \.gs, \.ss] {
      special[keyPath: segment] = .realMode(selector: 0)
    }
  }

  private static let codeDescriptor: UInt64 = 0x00AF_9B00_0000_FFFF
  private static let dataDescriptor: UInt64 = 0x00CF_9300_0000_FFFF

  private static func enterLongMode(_ special: inout SpecialRegisters) {
    special.cs = Segment(selector: 0x08, descriptor: codeDescriptor)
    for segment in [\SpecialRegisters.ds, \.es, \.fs, \.gs, \.ss] {
      special[keyPath: segment] = Segment(selector: 0x10, descriptor: dataDescriptor)
    }
    special.gdt = DescriptorTable(base: gdtAddress, limit: 0x17)
    special.idt = DescriptorTable(base: idtAddress, limit: 0xFFF)
    special.cr3 = pageTablesAddress
    special.cr4 = 1 << 5  // PAE
    special.cr0 = 1 << 31 | 1 << 4 | 1 << 0  // PG, ET, PE
    special.efer = 1 << 10 | 1 << 8  // LMA, LME
  }

  /// Writes the GDT, and page tables that map 4 GiB in pages of 2 MiB.
  private func writeTables() throws {
    try memory.store64(Self.codeDescriptor, at: GuestAddress(Self.gdtAddress + 0x08))
    try memory.store64(Self.dataDescriptor, at: GuestAddress(Self.gdtAddress + 0x10))
    let root = Self.pageTablesAddress
    // Present and writable; for the last level, a large page too (SDM volume 3A, 4.5).
    try memory.store64(root + 0x1000 | 3, at: GuestAddress(root))
    for gigabyte in 0..<4 as Range<UInt64> {
      let directory = root + 0x2000 + gigabyte * 0x1000
      try memory.store64(directory | 3, at: GuestAddress(root + 0x1000 + gigabyte * 8))
      for entry in 0..<512 as Range<UInt64> {
        try memory.store64(
          (gigabyte * 512 + entry) << 21 | 0x83,
          at: GuestAddress(directory + entry * 8)
        )
      }
    }
  }
}
