/// A controller's input pin as the router keeps it.
struct RouterPin {
  /// How many asserted lines lead to it.
  var asserted: Int32 = 0
  /// The lines that lead to it.
  var lines: [GSILine] = []
}

extension ControllerPin {
  /// Its place among all pins: those of the I/O APIC come first; `nil` if there is no such pin.
  var index: Int? {
    switch self {
    case .ioAPIC(let pin): (0..<24).contains(pin) ? pin : nil
    case .pic(let pin): (0..<16).contains(pin) ? 24 + pin : nil
    }
  }
}

extension InterruptRoute {
  /// The place of the pin it leads to, if it leads to one.
  var pinIndex: Int? {
    if case .pin(let pin) = self { pin.index } else { nil }
  }
}
