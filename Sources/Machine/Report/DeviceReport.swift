public import Virtio

/// What SIGUSR1 shows of devices: what each network interface has moved and dropped, and how the guest uses
/// its memory.
public struct DeviceReport {
  let networks: [Net]
  let balloon: Balloon?
  /// How the guest's memory is used, if its driver told.
  var statistics: BalloonStatistics?
  /// What those say that have processes of their own.
  var isolated: [(name: String, text: String)] = []

  /// How long a guest may take to tell how it uses its memory, in milliseconds.
  static var patience: Int32 { 300 }

  /// What is behind an interface's name.
  public static func text(of net: Net) -> String {
    " (\(net.networkLabel)): \(text(net.counters.values))"
  }

  /// What is behind a balloon's name; waits a moment for what the guest has to tell.
  public static func text(of balloon: Balloon) -> String {
    ": " + text(balloon, balloon.freshStatistics(within: patience))
  }

  /// Lines for a user; none without such devices.
  var text: String {
    var lines = networks.map { "  \($0.name)\(Self.text(of: $0))" }
    if let balloon { lines.append("  \(balloon.name): " + Self.text(balloon, statistics)) }
    lines += isolated.map { "  \($0.name)\($0.text)" }
    return lines.isEmpty ? "" : "devices:\n" + lines.joined(separator: "\n") + "\n"
  }

  private static func text(_ counters: NetCounters.Values) -> String {
    "received \(counters.received) frames (\(counters.receivedBytes) bytes), "
      + "sent \(counters.sent) (\(counters.sentBytes) bytes); "
      + "dropped \(counters.receiveDropped) received, \(counters.sendDropped) sent, "
      + "\(counters.malformed) malformed; filtered \(counters.filtered)"
  }

  private static func text(_ balloon: Balloon, _ statistics: BalloonStatistics?) -> String {
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
