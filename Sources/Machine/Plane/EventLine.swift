import DeviceModel
import HostOS
import Interrupts
import Synchronization

/// A level line that another process drives: a level irqfd with an eventfd for its ends, of this process or of
/// the kernel behind the router.
final class EventLine: ResampledLine {
  private let gsi: GSI
  private let events: InterruptEvents
  // Held over the calls of the table, which knows the pair until it is taken off.
  private let connected = Mutex<(event: EventFD, resample: EventFD)?>(nil)

  init(_ gsi: GSI, _ events: InterruptEvents) {
    self.gsi = gsi
    self.events = events
  }

  deinit { disconnect() }

  func connect(_ event: EventFD, resample: EventFD) throws {
    try connected.withLock { connected in
      try events.apply(IRQFDRequest(event.rawValue, gsi: gsi, flags: .level))
      do {
        try events.apply(EOIFDRequest(resample.rawValue, irqfd: event.rawValue))
      } catch {
        try events.apply(IRQFDRequest(event.rawValue, gsi: gsi, flags: [.level, .deassign]))
        throw error
      }
      connected = (event, resample)
    }
  }

  func disconnect() {
    connected.withLock { connected in
      guard let (event, resample) = connected else { return }
      connected = nil
      // Both were put in, and only here are they taken off.
      try? events.apply(
        EOIFDRequest(resample.rawValue, irqfd: event.rawValue, flags: [.levelIRQFD, .deassign])
      )
      try? events.apply(IRQFDRequest(event.rawValue, gsi: gsi, flags: [.level, .deassign]))
    }
  }
}
