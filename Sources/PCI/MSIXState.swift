import DeviceModel
import Synchronization

/// The table and the pending bits of a function's MSI-X; the rest is in its configuration registers.
public struct MSIXState: Equatable, Sendable {
  /// One vector.
  public struct Entry: Equatable, Sendable {
    /// Where the message goes.
    public var address: UInt64
    /// The message.
    public var data: UInt32
    /// Whether the guest has masked the vector.
    public var isMasked: Bool
    /// Whether a message waits until it is not.
    public var isPending: Bool

    /// Describes a vector.
    public init(address: UInt64, data: UInt32, isMasked: Bool, isPending: Bool) {
      self.address = address
      self.data = data
      self.isMasked = isMasked
      self.isPending = isPending
    }
  }

  /// The vectors by number.
  public var entries: [Entry]

  /// Bundles vectors.
  public init(entries: [Entry]) { self.entries = entries }
}

extension MSIX {
  /// Table and pending bits; what waits in an eventfd that is unplugged counts as pending.
  ///
  /// Any thread may ask.
  public var savedState: MSIXState {
    state.withLock { state in
      MSIXState(
        entries: state.entries.indices.map { vector in
          let keeps = interrupts[vector].keepsPending
          if keeps == nil { collect(vector, &state) }
          let entry = state.entries[vector]
          return MSIXState.Entry(
            address: entry.address,
            data: entry.data,
            isMasked: entry.isMasked,
            isPending: keeps ?? entry.isPending
          )
        }
      )
    }
  }

  /// Takes over table and pending bits, and lets the vectors follow them and message control, which was
  /// restored before.
  ///
  /// What was pending and is not masked is delivered. There must be as many entries as vectors.
  public func restore(_ saved: MSIXState) {
    precondition(saved.entries.count == vectorCount, "\(saved.entries.count) of \(vectorCount)")
    state.withLock { state in
      for (vector, entry) in saved.entries.enumerated() {
        // 6.8.2.6: the two low bits of the address are zero.
        state.entries[vector].address = entry.address & ~0b11
        state.entries[vector].data = entry.data
        state.entries[vector].isMasked = entry.isMasked
        state.entries[vector].isPending = entry.isPending
      }
    }
    update()
    // What is routed already, as after a restore of the same state, is not looked at by a change of route; and
    // where another has the table, it waits for that one.
    state.withLock { state in
      for vector in state.entries.indices where state.entries[vector].isPending {
        guard state.entries[vector].routed != nil || interrupts[vector].keepsPending != nil else {
          continue
        }
        state.entries[vector].isPending = false
        interrupts[vector].signal()
      }
    }
  }
}
