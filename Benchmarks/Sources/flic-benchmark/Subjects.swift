import CFLICPeer
import Interrupts

/// One enqueued, one delivered, with the same number pending throughout.
protocol Subject {
  /// Makes `count` interrupts pending, of subclasses that `subclasses` gives in turn.
  init(pending count: Int, subclasses: Subclasses)
  /// Enqueues `count` interrupts and delivers one after each; false if one was missing.
  mutating func run(_ count: Int) -> Bool
}

/// Which subclasses interrupts have.
enum Subclasses: CaseIterable {
  /// All have the same, as those of a guest's disks and networks do.
  case one
  /// The eight, in turn; the processor is open for the one that was enqueued last.
  case eight

  func isc(_ index: Int) -> UInt8 { self == .one ? 3 : UInt8(index & 7) }
}

/// The product's controller.
struct Controller: Subject {
  private let flic: FloatingInterruptController
  private let subclasses: Subclasses
  private var processor = S390Processor()

  init(pending count: Int, subclasses: Subclasses) {
    var configuration = FLICConfiguration()
    configuration.ioLimit = 1 << 21
    guard let flic = try? FLICSlot().create(configuration) else { preconditionFailure() }
    self.flic = flic
    self.subclasses = subclasses
    processor.psw.mask = ProgramStatusWord.io
    processor.lowcore.store(processor.psw, at: Lowcore.Location.ioNewPSW)
    for index in 0..<count { enqueue(index) }
  }

  private func enqueue(_ index: Int) {
    let interrupt = IOInterrupt(
      subchannel: UInt16(truncatingIfNeeded: index),
      isc: subclasses.isc(index),
      parameter: UInt32(truncatingIfNeeded: index)
    )
    _ = try? flic.enqueue(.io(interrupt))
  }

  @inline(never)
  mutating func run(_ count: Int) -> Bool {
    for index in 0..<count {
      enqueue(index)
      processor.control[6] = 0x8000_0000 >> UInt64(subclasses.isc(index))
      guard flic.deliverNext(to: &processor) != nil else { return false }
    }
    return true
  }
}

/// The list.
@safe
struct SortedList: Subject {
  private let flic: OpaquePointer
  private let subclasses: Subclasses
  private let psw: UnsafeMutablePointer<UInt64>
  private let lowcore: UnsafeMutablePointer<UInt8>

  init(pending count: Int, subclasses: Subclasses) {
    unsafe flic = peer_flic_create()
    self.subclasses = subclasses
    unsafe psw = .allocate(capacity: 2)
    unsafe psw.initialize(repeating: 0, count: 2)
    unsafe lowcore = .allocate(capacity: 8192)
    unsafe lowcore.initialize(repeating: 0, count: 8192)
    unsafe psw[0] = ProgramStatusWord.io
    // The mask is in the most significant byte.
    unsafe lowcore[Lowcore.Location.ioNewPSW] = UInt8(ProgramStatusWord.io >> 56)
    let inOrder = (0..<count).sorted { subclasses.isc($0) < subclasses.isc($1) }
    for index in inOrder { unsafe peer_flic_append(flic, Self.interrupt(index, subclasses)) }
  }

  /// Frees the list; to be called once.
  func destroy() {
    unsafe peer_flic_destroy(flic)
    unsafe psw.deallocate()
    unsafe lowcore.deallocate()
  }

  private static func interrupt(_ index: Int, _ subclasses: Subclasses) -> peer_interrupt {
    peer_interrupt(
      subchannel_id: 1,
      subchannel_nr: UInt16(truncatingIfNeeded: index),
      parameter: UInt32(truncatingIfNeeded: index),
      word: UInt32(subclasses.isc(index)) << 27
    )
  }

  @inline(never)
  mutating func run(_ count: Int) -> Bool {
    for index in 0..<count {
      unsafe peer_flic_enqueue(flic, Self.interrupt(index, subclasses))
      let cr6: UInt64 = 0x8000_0000 >> UInt64(subclasses.isc(index))
      guard unsafe peer_flic_deliver(flic, cr6, psw, lowcore) != 0 else { return false }
    }
    return true
  }
}
