import DeviceModel
import Interrupts

/// What `--dump-interrupts` and SIGUSR1 show: every line, source, route, pin and vector.
struct InterruptReport {
  let mode: InterruptMode
  let plane: any MachinePlane
  /// The local APICs, as far as the plane does not have them.
  var localAPICs: [String] = []

  /// Lines for a user.
  var text: String {
    var lines = ["interrupts (\(mode.rawValue)):"]
    lines += plane.router.report.map { "  " + row($0) }
    lines += plane.kernelMessages.map { gsi, message in
      "  \(gsi): \(text(message)), delivered by KVM, which does not count"
    }
    lines += plane.chipReport
    lines += localAPICs
    return lines.joined(separator: "\n") + "\n"
  }

  private func text(_ message: InterruptMessage) -> String {
    "message \(hex(UInt64(message.data))) to \(hex(message.address))"
  }

  private func row(_ line: InterruptRouter.LineReport) -> String {
    var counters = line.counters
    let routes = line.routes.map { route in
      switch route {
      case .pin(.ioAPIC(let pin)): mode == .kernel ? "KVM" : "I/O APIC pin \(pin)"
      case .pin(.pic(let pin)): "8259 IRQ \(pin)"
      case .message(let message): text(message)
      }
    }
    for case .pin(let pin) in line.routes { counters += plane.counters(of: pin) }
    return "\(line.gsi): \(line.isAsserted ? "high" : "low"), "
      + "\(line.sources.asserted) of \(line.sources.total) sources asserted, "
      + "\(line.sources.bound) bound; to \(routes.isEmpty ? "nobody" : routes.joined(separator: ", ")) "
      + "(raised \(counters.raised), coalesced \(counters.coalesced), "
      + "delivered \(counters.delivered), EOI \(counters.ended), "
      + "resampled \(counters.resampled), spurious \(counters.spurious))"
  }
}
