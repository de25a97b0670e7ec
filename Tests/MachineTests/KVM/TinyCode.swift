/// Guests of a few instructions in 32-bit protected mode, as bytes; the comments are their source.
enum TinyCode {
  /// Writes AL to the debug exit port, and halts.
  static let exitWithAL: [UInt8] = [
    0xE6, 0xF4,  // out 0xf4,al
    0xF4,  // hlt
  ]

  /// Writes to the test device's memory and reads back from the byte after.
  static let memoryEcho: [UInt8] =
    [
      0xC7, 0x05, 0x00, 0x00, 0x00, 0xFF, 0x78, 0x56, 0x34, 0x12,  // mov [0xff000000],0x12345678
      0xA1, 0x01, 0x00, 0x00, 0xFF,  // mov eax,[0xff000001]
    ] + exitWithAL

  /// Writes a byte to port 0xE3 and finds it in a long at 0xE2.
  static let portEcho: [UInt8] =
    [
      0xB0, 0x5A,  // mov al,0x5a
      0xE6, 0xE3,  // out 0xe3,al
      0xE5, 0xE2,  // in eax,0xe2
      0x88, 0xE0,  // mov al,ah
    ] + exitWithAL

  /// Writes the three bytes from 0x2000 to port 0xE0 and reads what is there.
  static let portStringOut: [UInt8] =
    [
      0xFC,  // cld
      0xBE, 0x00, 0x20, 0x00, 0x00,  // mov esi,0x2000
      0xB9, 0x03, 0x00, 0x00, 0x00,  // mov ecx,3
      0xBA, 0xE0, 0x00, 0x00, 0x00,  // mov edx,0xe0
      0xF3, 0x6E,  // rep outsb
      0xE4, 0xE0,  // in al,0xe0
    ] + exitWithAL

  /// Writes to port 0xE0, reads it three times to 0x3000, and takes the last.
  static let portStringIn: [UInt8] =
    [
      0xB0, 0x2C,  // mov al,0x2c
      0xE6, 0xE0,  // out 0xe0,al
      0xFC,  // cld
      0xBF, 0x00, 0x30, 0x00, 0x00,  // mov edi,0x3000
      0xB9, 0x03, 0x00, 0x00, 0x00,  // mov ecx,3
      0xBA, 0xE0, 0x00, 0x00, 0x00,  // mov edx,0xe0
      0xF3, 0x6C,  // rep insb
      0xA0, 0x02, 0x30, 0x00, 0x00,  // mov al,[0x3002]
    ] + exitWithAL

  /// Reads a port and an address that nobody claims, and adds the two bytes.
  static let nobody: [UInt8] =
    [
      0xE4, 0x10,  // in al,0x10
      0x02, 0x05, 0x00, 0x00, 0x00, 0xD0,  // add al,[0xd0000000]
    ] + exitWithAL

  /// Turns the machine off by ACPI: S5 in PM1a control.
  static let powerOff: [UInt8] = [
    0x66, 0xBA, 0x04, 0x06,  // mov dx,0x604
    0x66, 0xB8, 0x00, 0x34,  // mov ax,0x3400
    0x66, 0xEF,  // out dx,ax
    0xF4,  // hlt
  ]

  /// Resets the machine at port 0xCF9.
  static let reset: [UInt8] = [
    0x66, 0xBA, 0xF9, 0x0C,  // mov dx,0xcf9
    0xB0, 0x06,  // mov al,6
    0xEE,  // out dx,al
    0xF4,  // hlt
  ]

  /// Executes an undefined instruction with no table of handlers.
  static let tripleFault: [UInt8] = [
    0x0F, 0x0B,  // ud2
  ]

  /// Jumps to where nothing is.
  static let jumpToNowhere: [UInt8] = [
    0xB8, 0x00, 0x00, 0x00, 0xD0,  // mov eax,0xd0000000
    0xFF, 0xE0,  // jmp eax
  ]

  /// Halts with interrupts off.
  static let haltForGood: [UInt8] = [
    0xFA,  // cli
    0xF4,  // hlt
    0xEB, 0xFD,  // jmp to the hlt
  ]

  /// Waits for interrupts that never come.
  static let idle: [UInt8] = [
    0xFB,  // sti
    0xF4,  // hlt
    0xEB, 0xFD,  // jmp to the hlt
  ]

  /// Spins.
  static let spin: [UInt8] = [
    0xEB, 0xFE,  // jmp to itself
  ]

  /// Sends vCPU 1 an INIT and a SIPI for 0x8000 (SDM volume 3A, 9.4.4).
  private static let sendStart: [UInt8] = [
    0xC7, 0x05, 0x10, 0x03, 0xE0, 0xFE, 0x00, 0x00, 0x00, 0x01,  // mov [0xfee00310],1<<24
    0xC7, 0x05, 0x00, 0x03, 0xE0, 0xFE, 0x00, 0x45, 0x00, 0x00,  // mov [0xfee00300],INIT
    0xC7, 0x05, 0x00, 0x03, 0xE0, 0xFE, 0x08, 0x46, 0x00, 0x00,  // mov [0xfee00300],SIPI 8
  ]

  /// Waits until the byte at 0x3000 is `value`.
  private static func wait(for value: UInt8) -> [UInt8] {
    [
      0x80, 0x3D, 0x00, 0x30, 0x00, 0x00, value,  // cmp byte [0x3000],value
      0x75, 0xF7,  // jne to the cmp
    ]
  }

  /// Starts vCPU 1 at 0x8000, and halts for good.
  static let startSecond: [UInt8] = sendStart + haltForGood

  /// Starts vCPU 1 once more after it has counted and halted, and ends the run with 2 when it has counted again.
  static let restartSecond: [UInt8] =
    sendStart + wait(for: 1) + sendStart + wait(for: 2)
    + [
      0xB0, 0x02,  // mov al,2
    ] + exitWithAL

  /// Sends vCPU 1 an NMI after it has counted, and halts for good.
  static let interruptSecond: [UInt8] =
    sendStart + wait(for: 1)
    + [
      0xC7, 0x05, 0x00, 0x03, 0xE0, 0xFE, 0x00, 0x44, 0x00, 0x00,  // mov [0xfee00300],NMI
    ] + haltForGood

  /// In real mode, adds one to the byte at 0x3000 and halts with interrupts off.
  static let countInRealMode: [UInt8] = [
    0xFE, 0x06, 0x00, 0x30,  // inc byte [0x3000]
    0xF4,  // hlt
    0xEB, 0xFD,  // jmp to the hlt
  ]

  /// Ends the run with 3 in real mode.
  static let exitInRealMode: [UInt8] = [
    0xB0, 0x03,  // mov al,3
    0xE6, 0xF4,  // out 0xf4,al
    0xF4,  // hlt
  ]

  /// Sends the next byte of the serial port back with one added, and turns the machine off.
  static let serialEcho: [UInt8] =
    [
      0x66, 0xBA, 0xFD, 0x03,  // mov dx,0x3fd
      0xEC,  // in al,dx
      0xA8, 0x01,  // test al,1
      0x74, 0xFB,  // jz to the in
      0x66, 0xBA, 0xF8, 0x03,  // mov dx,0x3f8
      0xEC,  // in al,dx
      0xFE, 0xC0,  // inc al
      0xEE,  // out dx,al
    ] + powerOff
}
