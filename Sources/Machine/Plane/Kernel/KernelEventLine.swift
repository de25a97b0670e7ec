import DeviceModel
import HostOS
import Interrupts
import Synchronization

/// A level line that another process drives through the kernel: none of our threads is woken, by an interrupt or by its
/// end.
final class KernelEventLine: ResampledLine {
  private let gsi: GSI
  private let lines: KernelLines
  // Held over the kernel's calls.
  private let connected = Mutex<EventFD?>(nil)

  init(_ gsi: GSI, _ lines: KernelLines) {
    self.gsi = gsi
    self.lines = lines
  }

  deinit { disconnect() }

  func connect(_ event: EventFD, resample: EventFD) throws {
    try connected.withLock { connected in
      try lines.attach(event, resample: resample, to: gsi)
      connected = event
    }
  }

  func disconnect() {
    connected.withLock { connected in
      guard let event = connected else { return }
      connected = nil
      lines.detach(event)
    }
  }
}
