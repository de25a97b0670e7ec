public import DeviceModel
public import HostOS
import Synchronization

/// The doorbells that a hosted function has hung up, by BAR.
///
/// The peer decides where in the guest a BAR is, so a hosted function is told that each of its BARs
/// begins at 0, and its doorbells' addresses are offsets.
public final class HostedDoorbells: DoorbellRegistry {
  /// One doorbell of a BAR.
  public struct Entry: Sendable {
    /// Where in the BAR, which writes, and what value.
    public let doorbell: Doorbell
    /// What they signal.
    public let event: EventFD
  }

  private struct State {
    var bar: Int?
    var entries: [(bar: Int, entry: Entry)] = []
  }

  private let state = Mutex(State())

  /// Makes a registry without a doorbell.
  public init() {}

  /// Notes a doorbell of the BAR that the function is just told about.
  public func attach(_ doorbell: Doorbell, to event: EventFD) {
    state.withLock { state in
      guard let bar = state.bar else { return }
      state.entries.append((bar, Entry(doorbell: doorbell, event: event)))
    }
  }

  /// Forgets a doorbell.
  public func detach(_ doorbell: Doorbell, from event: EventFD) {
    state.withLock { state in
      state.entries.removeAll { $0.entry.doorbell == doorbell && $0.entry.event === event }
    }
  }

  /// The doorbells in a BAR, by ascending offset.
  public func entries(in bar: Int) -> [Entry] {
    let entries = state.withLock { $0.entries.filter { $0.bar == bar }.map(\.entry) }
    return entries.sorted { $0.doorbell.address < $1.doorbell.address }
  }

  /// Takes what `body` hangs up for the doorbells of `bar`.
  func collect(bar: Int, _ body: () -> Void) {
    state.withLock { $0.bar = bar }
    body()
    state.withLock { $0.bar = nil }
  }
}
