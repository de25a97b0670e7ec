/// What a message is, with the number that each generation gives it.
public enum MPQEMUCommand: String, Sendable, CaseIterable {
  /// The whole of the guest's memory.
  case syncMemory = "SYNC_SYSMEM"
  /// The answer to a request.
  case reply = "RET"
  /// A write to configuration registers.
  case writeConfiguration = "PCI_CFGWRITE"
  /// A read of configuration registers.
  case readConfiguration = "PCI_CFGREAD"
  /// A write to a BAR.
  case writeBAR = "BAR_WRITE"
  /// A read of a BAR.
  case readBAR = "BAR_READ"
  /// The eventfds of the interrupt.
  case setInterrupt = "SET_IRQFD"
  /// A reset of the device.
  case reset = "DEVICE_RESET"
  /// A heartbeat, of ``MPQEMUGeneration/v8`` only.
  case ping = "PROXY_PING"

  /// The command that a generation has at a number.
  init?(_ number: Int32, in generation: MPQEMUGeneration) {
    guard let found = Self.allCases.first(where: { $0.number(in: generation) == number }) else {
      return nil
    }
    self = found
  }

  /// The number that a generation gives the command; `nil` if it does not have it.
  func number(in generation: MPQEMUGeneration) -> Int32? {
    let isOld = generation == .v8
    return switch self {
    case .syncMemory: isOld ? 1 : 0
    case .reply: isOld ? 2 : 1
    case .writeConfiguration: isOld ? 3 : 2
    case .readConfiguration: isOld ? 4 : 3
    case .writeBAR: isOld ? 5 : 4
    case .readBAR: isOld ? 6 : 5
    case .setInterrupt: isOld ? 7 : 6
    case .reset: isOld ? 10 : 7
    case .ping: isOld ? 9 : nil
    }
  }
}

extension MPQEMUCommand: CustomStringConvertible {
  /// The protocol's name of it.
  public var description: String { rawValue }
}
