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
    let pairs = plane.kernelSources
    lines += plane.router.report.map { "  " + row($0, pairs[$0.gsi] ?? 0) }
    lines += plane.kernelMessages.map { gsi, message in
      "  \(gsi): \(Self.text(message)), delivered by KVM, which does not count"
    }
    lines += plane.chipReport
    lines += localAPICs
    return lines.joined(separator: "\n") + "\n"
  }

  static func text(_ message: InterruptMessage) -> String {
    "message \(hex(UInt64(message.data))) to \(hex(message.address))"
  }

  static func text(_ route: InterruptRoute) -> String {
    switch route {
    case .pin(.ioAPIC(let pin)): "I/O APIC pin \(pin)"
    case .pin(.pic(let pin)): "8259 IRQ \(pin)"
    case .message(let message): text(message)
    }
  }

  /// One GSI, with `pairs` sources that KVM alone knows of: it tells neither their levels nor their interrupts.
  private func row(_ line: InterruptRouter.LineReport, _ pairs: Int) -> String {
    var counters = line.counters
    var sources = line.sources
    sources.total += pairs
    sources.bound += pairs
    let routes = line.routes.map { route in
      if case .pin(.ioAPIC) = route, mode == .kernel { "KVM" } else { Self.text(route) }
    }
    for case .pin(let pin) in line.routes { counters += plane.counters(of: pin) }
    return Self.row(
      line.gsi,
      isAsserted: line.isAsserted,
      sources: sources,
      to: routes,
      counters
    )
  }

  /// One GSI.
  static func row(
    _ gsi: GSI,
    isAsserted: Bool,
    sources: (total: Int, asserted: Int, bound: Int),
    to routes: [String],
    _ counters: InterruptCounters
  ) -> String {
    "\(gsi): \(isAsserted ? "high" : "low"), "
      + "\(sources.asserted) of \(sources.total) sources asserted, "
      + "\(sources.bound) bound; to \(routes.isEmpty ? "nobody" : routes.joined(separator: ", ")) "
      + "(raised \(counters.raised), coalesced \(counters.coalesced), "
      + "delivered \(counters.delivered), EOI \(counters.ended), "
      + "resampled \(counters.resampled), spurious \(counters.spurious))"
  }
}
