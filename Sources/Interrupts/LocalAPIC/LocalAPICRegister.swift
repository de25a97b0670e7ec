/// A register of a local APIC (SDM volume 3A, tables 11-1 and 11-6).
///
/// Its number is the offset in the page divided by 16, and in x2APIC mode the MSR less 0x800.
enum LocalAPICRegister: Sendable {
  case id
  case version
  case taskPriority
  case arbitrationPriority
  case processorPriority
  case endOfInterrupt
  case remoteRead
  case logicalDestination
  case destinationFormat
  case spurious
  case inService(Int)
  case triggerMode(Int)
  case requested(Int)
  case errorStatus
  case command
  case commandHigh
  case vector(LocalVector)
  case initialCount
  case currentCount
  case divideConfiguration
  case selfInterrupt

  init?(number: Int, hasCMCI: Bool) {
    switch number {
    case 0x02: self = .id
    case 0x03: self = .version
    case 0x08: self = .taskPriority
    case 0x09: self = .arbitrationPriority
    case 0x0A: self = .processorPriority
    case 0x0B: self = .endOfInterrupt
    case 0x0C: self = .remoteRead
    case 0x0D: self = .logicalDestination
    case 0x0E: self = .destinationFormat
    case 0x0F: self = .spurious
    case 0x10...0x17: self = .inService(number - 0x10)
    case 0x18...0x1F: self = .triggerMode(number - 0x18)
    case 0x20...0x27: self = .requested(number - 0x20)
    case 0x28: self = .errorStatus
    case 0x2F where hasCMCI: self = .vector(.cmci)
    case 0x30: self = .command
    case 0x31: self = .commandHigh
    case 0x32: self = .vector(.timer)
    case 0x33: self = .vector(.thermal)
    case 0x34: self = .vector(.performance)
    case 0x35: self = .vector(.lint0)
    case 0x36: self = .vector(.lint1)
    case 0x37: self = .vector(.error)
    case 0x38: self = .initialCount
    case 0x39: self = .currentCount
    case 0x3E: self = .divideConfiguration
    case 0x3F: self = .selfInterrupt
    default: return nil
    }
  }

  /// Whether what the register does or shows depends on the time.
  var needsTime: Bool {
    switch self {
    case .spurious, .errorStatus, .vector, .initialCount, .currentCount, .divideConfiguration: true
    default: false
    }
  }
}
