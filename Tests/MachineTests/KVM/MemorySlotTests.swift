import GuestMemory
import KVM
import TestSupport
import Testing

@testable import Machine

/// Memory of a device's in the guest's address space, while its processor runs.
@Suite(KVMDevice.required, .serialized, .timeLimit(.minutes(5))) struct MemorySlotTests {
  /// Waits for 0x5A in the byte at 0xD0001000, writes 0xA5 after it, and then waits for ones, as where nothing is.
  static let waiting: [UInt8] =
    [
      0xA0, 0x00, 0x10, 0x00, 0xD0,  // first: mov al,[0xd0001000]
      0x3C, 0x5A, 0x75, 0xF7,  // cmp al,0x5a; jne first
      0xC6, 0x05, 0x01, 0x10, 0x00, 0xD0, 0xA5,  // mov byte [0xd0001001],0xa5
      0xA0, 0x00, 0x10, 0x00, 0xD0,  // second: mov al,[0xd0001000]
      0x3C, 0xFF, 0x75, 0xF7,  // cmp al,0xff; jne second
    ] + TinyCode.exitWithAL

  @Test func aGuestReachesWhatIsMappedUntilItIsTakenAway() throws {
    let rig = try ProcessorRig(Self.waiting)
    let slots = MemorySlots(rig.vm, limit: 64)
    let memory = try GuestMemory(count: 0x4000)
    try memory.write([0x5A], at: GuestAddress(0x1000))
    let number = try slots.map(0x1000..<0x3000, of: memory, at: 0xD000_1000)
    let isWritten = try waitUntil {
      try memory.read(at: GuestAddress(0x1001), count: 1) == [0xA5]
    }
    #expect(isWritten)
    // It reads without leaving the processor, and finds what changes.
    slots.unmap(number)
    let outcome = try #require(rig.outcome())
    #expect(outcome.exitCode == 0xFF)
  }

  @Test func whatHasSomethingElseIsRefused() throws {
    let vm = try KVMSystem().makeVM()
    let slots = MemorySlots(vm, limit: 10)
    let memory = try GuestMemory(count: 0x4000)
    let first = try slots.map(0..<0x2000, of: memory, at: 0xD000_0000)
    #expect(throws: KVMError.self) { try slots.map(0..<0x1000, of: memory, at: 0xD000_1000) }
    _ = try slots.map(0x2000..<0x3000, of: memory, at: 0xD000_2000)
    // Of 10 slots, RAM may have 8; but no KVM has fewer than 32.
    for index in 0..<UInt64(22) {
      _ = try slots.map(0x3000..<0x4000, of: memory, at: 0xD100_0000 + index << 12)
    }
    #expect(throws: MemorySlots.Full.self) {
      try slots.map(0x3000..<0x4000, of: memory, at: 0xD200_0000)
    }
    slots.unmap(first)
    _ = try slots.map(0..<0x1000, of: memory, at: 0xD000_1000)
  }
}
