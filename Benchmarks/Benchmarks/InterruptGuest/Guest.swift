import GuestMemory
import HostOS
public import KVM

/// A virtual machine with 2 MiB of RAM for a guest of a few instructions in 64-bit mode, which waits for interrupts:
/// level-triggered ones at pin 20 of the I/O APIC.
public final class Guest {
  /// The vector of the handler.
  public static let vector: UInt8 = 0x41
  /// The pin.
  public static let pin: UInt32 = 20
  /// Written once the guest waits.
  public static let readyPort: UInt16 = 0x80
  /// Written by the handler before it ends the interrupt.
  public static let handledPort: UInt16 = 0x81

  private static let codeAddress: UInt64 = 0x1000
  private static let handlerAddress: UInt64 = 0x1800
  private static let gdtAddress: UInt64 = 0x6000
  private static let idtAddress: UInt64 = 0x7000
  private static let stackTop: UInt64 = 0xA000
  private static let pageTablesAddress: UInt64 = 0x10000
  private static let size: UInt64 = 0x200000

  /// Programs the I/O APIC and the local APIC, says so, and halts for each interrupt.
  private static let code: [UInt8] = [
    0xBB, 0x00, 0x00, 0xC0, 0xFE,  // mov ebx,0xfec00000
    0xC7, 0x03, 0x39, 0x00, 0x00, 0x00,  // mov dword [rbx],0x39
    0xC7, 0x43, 0x10, 0x00, 0x00, 0x00, 0x00,  // mov dword [rbx+0x10],0
    0xC7, 0x03, 0x38, 0x00, 0x00, 0x00,  // mov dword [rbx],0x38
    0xC7, 0x43, 0x10, vector, 0x80, 0x00, 0x00,  // mov dword [rbx+0x10],0x8000+vector
    0xBB, 0xF0, 0x00, 0xE0, 0xFE,  // mov ebx,0xfee000f0
    0xC7, 0x03, 0xFF, 0x01, 0x00, 0x00,  // mov dword [rbx],0x1ff
    0xE6, UInt8(readyPort),  // out readyPort,al
    0xFB,  // sti
    0xF4,  // hlt
    0xEB, 0xFD,  // jmp to the hlt
  ]

  /// Says that it was called, ends the interrupt at the local APIC, and returns.
  private static let handler: [UInt8] = [
    0xE6, UInt8(handledPort),  // out handledPort,al
    0xBB, 0xB0, 0x00, 0xE0, 0xFE,  // mov ebx,0xfee000b0
    0xC7, 0x03, 0x00, 0x00, 0x00, 0x00,  // mov dword [rbx],0
    0x48, 0xCF,  // iretq
  ]

  /// The machine.
  public let vm: VM
  private let memory: GuestMemory

  /// Makes a machine; `configure` is run before there is any vCPU.
  public init(_ system: KVMSystem, configure: (VM) throws -> Void) throws {
    memory = try GuestMemory([(GuestAddress(0), Self.size)])
    vm = try system.makeVM()
    // Pages that Intel processors need, out of the way of everything else.
    try vm.setIdentityMapAddress(0xFFFB_C000)
    try vm.setTSSAddress(0xFFFB_D000)
    try vm.setMemoryRegion(
      slot: 0,
      guestAddress: 0,
      size: Self.size,
      unsafeHostAddress: memory.unsafeHostAddress(of: memory.regions[0])
    )
    try configure(vm)
    try memory.write(Self.code, at: GuestAddress(Self.codeAddress))
    try memory.write(Self.handler, at: GuestAddress(Self.handlerAddress))
    try writeTables()
  }

  /// Puts a vCPU in front of the first instruction.
  public static func start(_ vcpu: VCPU, _ system: KVMSystem) throws {
    try vcpu.setCPUID(system.supportedCPUID())
    var registers = Registers()
    registers.rip = codeAddress
    registers.rsp = stackTop
    registers.rflags = 2
    try vcpu.setRegisters(registers)
    var special = try vcpu.specialRegisters()
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
    try vcpu.setSpecialRegisters(special)
  }

  private static let codeDescriptor: UInt64 = 0x00AF_9B00_0000_FFFF
  private static let dataDescriptor: UInt64 = 0x00CF_9300_0000_FFFF

  /// Writes the GDT, the handler's gate, and page tables that map 4 GiB in pages of 2 MiB.
  private func writeTables() throws {
    func store(_ value: UInt64, _ address: UInt64) throws {
      try memory.store64(value, at: GuestAddress(address))
    }
    try store(Self.codeDescriptor, Self.gdtAddress + 0x08)
    try store(Self.dataDescriptor, Self.gdtAddress + 0x10)
    // Present, privilege 0, interrupt gate, to the code segment (SDM volume 3A, 6.14.1).
    let gate = Self.handlerAddress & 0xFFFF | 8 << 16 | 0x8E00 << 32
    try store(gate, Self.idtAddress + UInt64(Self.vector) * 16)
    let root = Self.pageTablesAddress
    // Present and writable; for the last level, a large page too (SDM volume 3A, 4.5).
    try store(root + 0x1000 | 3, root)
    for gigabyte in 0..<4 as Range<UInt64> {
      let directory = root + 0x2000 + gigabyte * 0x1000
      try store(directory | 3, root + 0x1000 + gigabyte * 8)
      for entry in 0..<512 as Range<UInt64> {
        try store((gigabyte * 512 + entry) << 21 | 0x83, directory + entry * 8)
      }
    }
  }
}
