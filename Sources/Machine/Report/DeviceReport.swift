import Virtio

/// What SIGUSR1 shows of devices: what each network interface has moved and dropped, and how the guest uses
/// its memory.
struct DeviceReport {
  let networks: [(name: String, label: String, counters: NetCounters.Values)]
  let balloon: Balloon?
  /// How the guest's memory is used, if its driver told.
  var statistics: BalloonStatistics?

  /// Lines for a user; none without such devices.
  var text: String {
    var lines = networks.map { "  \($0.name) (\($0.label)): \(Self.text($0.counters))" }
    if let balloon { lines.append("  \(balloon.name): " + text(balloon)) }
    return lines.isEmpty ? "" : "devices:\n" + lines.joined(separator: "\n") + "\n"
  }

  private static func text(_ counters: NetCounters.Values) -> String {
    "received \(counters.received) frames (\(counters.receivedBytes) bytes), "
      + "sent \(counters.sent) (\(counters.sentBytes) bytes); "
      + "dropped \(counters.receiveDropped) received, \(counters.sendDropped) sent, "
      + "\(counters.malformed) malformed; filtered \(counters.filtered)"
  }

  private func text(_ balloon: Balloon) -> String {
    let size =
      "\(sizeText(balloon.target)) wanted, \(sizeText(balloon.actual)) given, "
      + "\(sizeText(balloon.discardedBytes)) given back to the host in all"
    guard let statistics, !statistics.isEmpty else { return size + "; the guest tells nothing" }
    let parts: [(BalloonStatistics.Tag, String)] = [
      (.total, "total"), (.free, "free"), (.available, "available"), (.caches, "in caches"),
      (.swappedIn, "swapped in"), (.swappedOut, "swapped out"),
    ]
    let told = parts.compactMap { tag, name in statistics[tag].map { "\(sizeText($0)) \(name)" } }
    return size + "; guest: " + told.joined(separator: ", ")
  }
}
