/// What has come for a processor past its interrupt flag.
public struct LocalAPICEvents: Equatable, Sendable {
  /// A non-maskable interrupt; several before it was taken are one.
  public var nmi = false
  /// A system-management interrupt; several before it was taken are one.
  public var smi = false
  /// An INIT.
  ///
  /// It comes before ``startUpVector``, and has dropped whatever was there before itself.
  public var initReceived = false
  /// The vector of a start-up IPI, the first one since INIT: the processor starts at `vector << 12`
  /// if it waits for that, else it drops it (SDM volume 3A, 9.4.3).
  public var startUpVector: UInt8?

  /// Nothing has come.
  public init() {}

  /// Whether nothing has come.
  public var isEmpty: Bool { !nmi && !smi && !initReceived && startUpVector == nil }

  /// What of it wakes the processor.
  var work: LocalAPICWork {
    var work: LocalAPICWork = []
    if nmi { work.insert(.nonMaskable) }
    if smi { work.insert(.systemManagement) }
    if initReceived { work.insert(.initialize) }
    if startUpVector != nil { work.insert(.startUp) }
    return work
  }
}
