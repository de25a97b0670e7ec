/// Which layers of a sandbox are in force.
public struct SandboxReport: Equatable, Sendable {
  private var states: [SandboxLayer: SandboxLayer.State] = [:]

  /// Knows of no layer yet.
  public init() {}

  /// How a layer is; `nil` as long as it was not tried.
  public subscript(layer: SandboxLayer) -> SandboxLayer.State? {
    get { states[layer] }
    set { states[layer] = newValue }
  }

  /// Notes how `body` went, which returns what is worth knowing, or throws why the host refuses.
  mutating func attempt(_ layer: SandboxLayer, _ body: () throws(SystemError) -> String) {
    do throws(SystemError) {
      states[layer] = .inForce(try body())
    } catch {
      states[layer] = .refused("\(error)")
    }
  }

  /// The layers that the host refuses.
  public var refused: [SandboxLayer] {
    SandboxLayer.allCases.filter { if case .refused = states[$0] { true } else { false } }
  }

  /// Each layer on a line of its own.
  public var lines: [String] {
    SandboxLayer.allCases.compactMap { layer in states[layer].map { "\(layer.rawValue): \($0)" } }
  }

  /// All in one line, for a log.
  public var summary: String {
    let inForce = SandboxLayer.allCases.filter {
      if case .inForce = states[$0] { true } else { false }
    }
    var parts = ["in force: \(inForce.map(\.rawValue).joined(separator: ", "))"]
    for layer in SandboxLayer.allCases {
      switch states[layer] {
      case .refused(let reason): parts.append("\(layer.rawValue) refused by the host: \(reason)")
      case .notWanted(let reason): parts.append("\(layer.rawValue) not wanted: \(reason)")
      case .inForce, nil: break
      }
    }
    return parts.joined(separator: "; ")
  }
}
