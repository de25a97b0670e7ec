import Testing

/// A sequence of what devices and the guest do with GSI 16, and of what comes of it.
struct Scenario: Sendable, CustomTestStringConvertible {
  /// One of the two devices.
  enum Device: String, Sendable, CaseIterable {
    case a
    case b
  }

  /// What is done.
  enum Action: Equatable, Sendable {
    /// A device is bound to the GSI; a signal of before counts.
    case assign(Device)
    /// A device is taken off.
    case deassign(Device)
    /// A device raises its interrupt.
    case signal(Device)
    /// A line that shares the GSI, with no eventfds, rises or falls.
    case line(Bool)
    /// The guest masks or unmasks pin 16.
    case mask(Bool)
    /// The guest ends the interrupt that it serves.
    case end
    /// The guest leaves its handler.
    case leave
    /// The GSI is led to another pin.
    case route(Int)
  }

  /// What came of an action.
  struct Outcome: Equatable, Sendable, CustomStringConvertible {
    var action: Action
    /// The vectors of the interrupts that the guest took, in order.
    var interrupts: [UInt8] = []
    /// The asserted devices that were told of the end.
    var told: [Device] = []

    var description: String {
      "\(action): interrupts \(interrupts), told \(told.map(\.rawValue))"
    }
  }

  let name: String
  /// Whether KVM itself does so by its own calls.
  ///
  /// The contract asks for more in two places. There, all devices of a GSI are one source: taking an asserted one off leaves the line
  /// up while another is there. And a line that is up stays up at its old pin when its route changes.
  var isKernels = true
  let outcomes: [Outcome]

  var testDescription: String { name }

  init(_ name: String, isKernels: Bool = true, _ outcomes: [Outcome]) {
    self.name = name
    self.isKernels = isKernels
    self.outcomes = outcomes
  }
}

extension Scenario.Outcome {
  /// Nothing comes of it.
  static func quiet(_ action: Scenario.Action) -> Self { Self(action: action) }
  /// The guest takes the interrupt of pin 16.
  static func taken(_ action: Scenario.Action, _ vector: UInt8 = 0x41) -> Self {
    Self(action: action, interrupts: [vector])
  }
  /// The end is told to these.
  static func ended(_ told: Scenario.Device...) -> Self { Self(action: .end, told: told) }
}
