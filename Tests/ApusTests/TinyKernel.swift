import Glibc
import HostOS
import TestSupport

/// A Multiboot program of a few instructions, and the built `apus` to run it with.
enum TinyKernel {
  /// Stops at once, for good.
  static var halting: [UInt8] { [0xFA, 0xF4, 0xEB, 0xFC] }

  /// Listens to the power button, says `R`, and resets the machine when the button is pressed.
  static var resettingAtPowerButton: [UInt8] {
    [
      0x66, 0xBA, 0x02, 0x06,  // mov dx, 0x602: PM1 enable
      0x66, 0xB8, 0x00, 0x01,  // mov ax, 0x100: the power button
      0x66, 0xEF,  // out dx, ax
      0x66, 0xBA, 0xF8, 0x03, 0xB0, 0x52, 0xEE,  // out 0x3f8, 'R'
      0x66, 0xBA, 0x00, 0x06,  // mov dx, 0x600: PM1 status
      0x66, 0xED, 0xF6, 0xC4, 0x01, 0x74, 0xF9,  // again: in ax, dx; test ah, 1; jz again
      0x66, 0xBA, 0xF9, 0x0C, 0xB0, 0x06, 0xEE,  // out 0xcf9, 6
      0xF4, 0xEB, 0xFD,  // hlt; jmp to it
    ]
  }

  /// Prints short lines, again and again.
  static var printing: [UInt8] {
    [
      0x66, 0xBA, 0xF8, 0x03,  // mov dx, 0x3f8
      0xB0, 0x41, 0xEE,  // again: mov al, 'A'; out dx, al
      0xB0, 0x0A, 0xEE,  // mov al, a line feed; out dx, al
      0xEB, 0xF8,  // jmp again
    ]
  }

  /// Says `R`, then sends back each byte of the serial port, and turns the machine off after a `q`.
  static var echoing: [UInt8] {
    [
      0x66, 0xBA, 0xF8, 0x03, 0xB0, 0x52, 0xEE,  // out 0x3f8, 'R'
      0x66, 0xBA, 0xFD, 0x03,  // again: mov dx, 0x3fd
      0xEC, 0xA8, 0x01, 0x74, 0xFB,  // in al, dx; test al, 1; jz to the in
      0x66, 0xBA, 0xF8, 0x03,  // mov dx, 0x3f8
      0xEC, 0xEE,  // in al, dx; out dx, al
      0x3C, 0x71, 0x75, 0xED,  // cmp al, 'q'; jne again
      0x66, 0xBA, 0x04, 0x06, 0x66, 0xB8, 0x00, 0x34, 0x66, 0xEF,  // out 0x604, 0x3400: S5
      0xF4, 0xEB, 0xFD,  // hlt; jmp to it
    ]
  }

  /// The file of a program whose code starts at its entry, loaded at 1 MiB.
  static func file(_ code: [UInt8]) -> [UInt8] {
    let flags: UInt32 = 1 << 16
    let words: [UInt32] = [
      0x1BAD_B002, flags, 0 &- 0x1BAD_B002 &- flags, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020,
    ]
    return words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
      + code
  }

  /// The `apus` that was built with the tests, beside them.
  static var program: String {
    var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: at most as many bytes are written as the array has.
    let size = unsafe path.withUnsafeMutableBytes {
      unsafe readlink("/proc/self/exe", $0.baseAddress.unsafelyUnwrapped, $0.count)
    }
    let own = String(decoding: path.prefix(max(size, 0)), as: UTF8.self)
    return "\(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])/apus"
  }

  /// Whether this machine's KVM can be opened.
  static var hasKVM: Bool { unsafe access("/dev/kvm", R_OK | W_OK) == 0 }
}
