/// A line of the guest's /proc/interrupts that grew while it read from a disk.
struct Traffic: Equatable, Sendable {
  let disk: String
  /// Its number there, which for a pin of the I/O APIC need not be the pin's.
  let number: Int
  /// By how much it grew on each processor.
  let counts: [Int]
  /// `IO-APIC` or `PCI-MSI`.
  let kind: String
  /// The pin of the I/O APIC; nil for a message.
  let line: Int?
  /// Whose it is.
  let devices: [String]

  /// Reads `APUS-TRAFFIC: vda 19 +0 +100 IO-APIC 19-fasteoi virtio1, virtio2`.
  init?(_ text: String) {
    let words = text.split(separator: " ").map(String.init)
    guard words.count > 2, words[0] == "APUS-TRAFFIC:", let number = Int(words[2]) else {
      return nil
    }
    let rest = words[3...].drop { $0.hasPrefix("+") }
    guard let kind = rest.first, let pin = rest.dropFirst().first else { return nil }
    disk = words[1]
    self.number = number
    counts = words[3..<rest.startIndex].compactMap { Int($0) }
    self.kind = kind
    line = kind == "IO-APIC" ? Int(pin.prefix { $0.isNumber }) : nil
    devices = rest.dropFirst(2).map { $0.hasSuffix(",") ? String($0.dropLast()) : $0 }
  }
}

extension Ended {
  /// What the test guest's `traffic` printed.
  var traffic: [Traffic] { lines.compactMap { Traffic($0) } }
}
