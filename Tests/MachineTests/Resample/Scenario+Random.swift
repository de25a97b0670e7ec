import TestSupport

extension Scenario {
  /// Actions that a seed chooses, such that KVM itself keeps the contract; nobody has said what comes of them.
  static func random(seed: UInt64, count: Int) -> [Action] {
    var generator = Interleaving.Generator(seed)
    var state = State()
    return (0..<count).map { _ in
      let action = state.possible.randomElement(using: &generator) ?? .mask(false)
      state.apply(action)
      return action
    }
  }

  /// What is so as far as the actions say; whether the guest is in its handler is for the run to know.
  private struct State {
    var assigned: [Device] = []
    /// Those that have signalled since they were last told, if they were.
    var mayBeAsserted: [Device] = []
    var isLineUp = false
    var isMasked = false

    var possible: [Action] {
      // An end and a leave where there is no handler to do it in are left out by the run.
      var actions: [Action] = [.end, .leave, .end, .leave, .line(!isLineUp), .mask(!isMasked)]
      for device in Device.allCases {
        actions += [.signal(device), .signal(device)]
        if !assigned.contains(device) {
          actions.append(.assign(device))
        } else if assigned.count == 1 || !mayBeAsserted.contains(device) {
          actions.append(.deassign(device))
        }
      }
      return actions
    }

    mutating func apply(_ action: Action) {
      switch action {
      case .assign(let device): assigned.append(device)
      case .deassign(let device):
        assigned.removeAll { $0 == device }
        mayBeAsserted.removeAll { $0 == device }
      case .signal(let device): mayBeAsserted.append(device)
      case .line(let level): isLineUp = level
      case .mask(let masked): isMasked = masked
      case .end, .leave, .route: break
      }
    }
  }
}
