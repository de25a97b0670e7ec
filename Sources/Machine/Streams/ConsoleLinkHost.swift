import HostOS
import Logging
import Synchronization
import Virtio

/// This process's side of a console that has a process of its own: the ends of its ports stay here, the terminal among them.
///
/// The console's process has sockets of packets and nothing of the host's: what it does with them reaches no more than what its guest
/// prints and reads. A thread here takes what comes out and is held up by nobody: a slow output slows its own port alone.
final class ConsoleLinkHost: Sendable {
  // How long an output may take nothing, when all is to end, in milliseconds.
  private static var patience: Int32 { 200 }
  // How much is still taken then: as much as the sockets may hold, and no more of a process that goes on.
  private static var lastBytes: Int { 4 << 20 }

  private let memory: ConsoleLinkMemory
  private let news: EventFD
  /// By number; `nil` for a console without a terminal.
  private let ends: [ConsoleLinkEnd?]
  private let names: [String]
  private let wake: EventFD
  private let state: Mutex<State>
  private let logger = Logger(label: "console")

  private struct State: ~Copyable {
    /// How often somebody has come to an end, or gone: odd while somebody is there.
    var openings: [UInt64]
    var thread: Thread?
    var isStopping = false
  }

  /// Makes the ends.
  ///
  /// - Parameters:
  ///   - ends: The terminal and the ports, by number.
  ///   - names: What messages call them.
  ///   - isOpen: Whether somebody is at the host's end of each.
  /// - Throws: `SystemError` if the host has no descriptor or memory left.
  init(_ ends: [ConsoleLinkEnd?], names: [String], isOpen: [Bool]) throws(SystemError) {
    memory = try ConsoleLinkMemory()
    news = try EventFD()
    wake = try EventFD()
    self.ends = ends
    self.names = names
    let openings = isOpen.map { $0 ? 1 : 0 as UInt64 }
    state = Mutex(State(openings: openings))
    for (number, count) in openings.enumerated() { memory.setOpenings(count, of: number) }
  }

  /// What the process must have, in this order.
  var descriptors: [Int32] {
    [memory.number, news.share()] + ends.compactMap { $0?.far.rawValue }
  }

  /// Sends what came from outside to a port; returns how much was taken.
  func send(_ bytes: ArraySlice<UInt8>, to number: Int) -> Int {
    ends[number]?.send(bytes) ?? bytes.count
  }

  /// Tells the device whether somebody is at the host's end of a port.
  func setOpen(_ number: Int, _ isOpen: Bool) {
    state.withLock { state in
      guard (state.openings[number] & 1 == 1) != isOpen else { return }
      state.openings[number] &+= 1
      memory.setOpenings(state.openings[number], of: number)
    }
    news.signal()
  }

  /// Starts to carry what the guest says.
  func start() throws(SystemError) {
    var thread = Optional(try Thread("console") { [self] in run() })
    state.withLock { $0.thread = thread.take() }
  }

  /// Ends that; what the guest said last has gone out, as far as somebody takes it.
  func stop() {
    let thread = state.withLock { state in
      state.isStopping = true
      return state.thread.take()
    }
    wake.signal()
    // Letting go of it joins it.
    _ = consume thread
  }

  private func run() {
    var outputs: [Int: ConsoleOutputBox] = [:]
    for (number, end) in ends.enumerated() {
      if let end { outputs[number] = ConsoleOutputBox(ConsoleOutput(end, name: names[number])) }
    }
    var left = Self.lastBytes
    while left > 0 {
      let isStopping = state.withLock { $0.isStopping }
      var list = PollList()
      let wakePlace = isStopping ? nil : list.add(wake.rawValue, for: .readable)
      let places = outputs.mapValues { $0.output.register(in: &list) }
      let isDrained = outputs.values.allSatisfy { $0.output.isDrained }
      list.wait(timeout: isStopping ? isDrained ? 0 : Self.patience : nil)
      if let wakePlace, list.isReady(wakePlace) { wake.drain() }
      var isMoving = false
      for (number, place) in places {
        guard let place, list.isReady(place), let box = outputs[number] else { continue }
        isMoving = true
        let count = box.output.advance(logger)
        if isStopping { left -= max(count, 1) }
      }
      if isStopping, !isMoving { return }
    }
  }

  /// Room for what cannot be copied.
  private final class ConsoleOutputBox {
    var output: ConsoleOutput

    init(_ output: consuming ConsoleOutput) { self.output = output }
  }
}
