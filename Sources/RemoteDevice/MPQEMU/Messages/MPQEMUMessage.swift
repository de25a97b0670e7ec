/// A message, made sense of.
enum MPQEMUMessage: Equatable, Sendable {
  /// The guest's memory from now on: a region for each descriptor that comes with it.
  case syncMemory([MPQEMURegion])
  /// The answer to a request; `nil` in one that says no more than that.
  case reply(UInt64?)
  case writeConfiguration(MPQEMUConfigurationAccess)
  case readConfiguration(MPQEMUConfigurationAccess)
  case writeBAR(MPQEMUBARAccess)
  case readBAR(MPQEMUBARAccess)
  /// Two descriptors come with it: what to signal, and what is signalled at the end of an interrupt.
  case setInterrupt
  case reset
  case ping

  /// What it is.
  var command: MPQEMUCommand {
    switch self {
    case .syncMemory: .syncMemory
    case .reply: .reply
    case .writeConfiguration: .writeConfiguration
    case .readConfiguration: .readConfiguration
    case .writeBAR: .writeBAR
    case .readBAR: .readBAR
    case .setInterrupt: .setInterrupt
    case .reset: .reset
    case .ping: .ping
    }
  }
}

/// A piece of the guest's memory.
struct MPQEMURegion: Equatable, Sendable {
  /// Where the guest has it.
  let address: UInt64
  /// Its length in bytes.
  let size: UInt64
  /// Where in its file it begins.
  let offset: UInt64
}

/// An access to configuration registers.
struct MPQEMUConfigurationAccess: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 12 }

  /// The first register.
  let address: UInt32
  /// What is written; 0 in a read.
  var value: UInt32 = 0
  /// How many bytes wide it is.
  let width: Int32
}

/// An access to a BAR.
struct MPQEMUBARAccess: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 24 }

  /// Where in the guest's memory, or among its ports: not in the BAR.
  let address: UInt64
  /// What is written; 0 in a read.
  var value: UInt64 = 0
  /// How many bytes wide it is.
  let width: UInt32
  /// Whether the address is in memory.
  let isMemory: Bool
}
