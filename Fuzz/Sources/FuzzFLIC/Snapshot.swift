import Interrupts

/// All that can be seen of a controller.
struct Snapshot: Equatable {
  let pending: [FloatingInterrupt]
  let adapters: [IOAdapter?]
  let suppression: AdapterSuppression
  let allowsPageFaults: Bool

  init(_ flic: FloatingInterruptController) {
    pending = flic.pending
    adapters = (0...UInt32(IOAdapter.maximumCount)).map { flic.adapter($0) }
    suppression = flic.suppression
    allowsPageFaults = flic.allowsPageFaults
  }
}
