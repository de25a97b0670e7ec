import CLinux
import Glibc
import HostOS
import TestSupport
import Testing

@testable import Interrupts

/// What requests for eventfds are refused, by which error, and that nothing changes then.
@Suite struct InterruptEventErrorTests {
  /// No process opens so many.
  static let closed: Int32 = 1_000_000

  let rig: EventRig
  let irq: EventFD
  let end: EventFD

  init() throws {
    rig = try EventRig()
    irq = try EventFD()
    end = try EventFD()
  }

  private func refuse(
    _ request: IRQFDRequest,
    _ code: Int32,
    _ location: SourceLocation = #_sourceLocation
  ) {
    check(code, location) { try rig.events.apply(request) }
  }

  private func refuse(
    _ request: EOIFDRequest,
    _ code: Int32,
    _ location: SourceLocation = #_sourceLocation
  ) {
    check(code, location) { try rig.events.apply(request) }
  }

  private func check(_ code: Int32, _ location: SourceLocation, _ body: () throws -> Void) {
    let before = rig.snapshot
    let error = #expect(throws: InterruptError.self, sourceLocation: location) { try body() }
    #expect(error?.errno == code, "\(String(describing: error))", sourceLocation: location)
    #expect(error?.description.contains("\n") == false, sourceLocation: location)
    #expect(rig.snapshot == before, sourceLocation: location)
  }

  /// Descriptors that are no eventfds.
  private func withOthers(_ body: (Int32) throws -> Void) throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    let file = try OwnedFileDescriptor(opening: "/dev/null", O_RDWR)
    let text = try OwnedFileDescriptor(opening: "/proc/self/status", O_RDONLY)
    let poller = epoll_create1(0)
    for descriptor in ends + [file.rawValue, text.rawValue, poller] { try body(descriptor) }
    for descriptor in ends + [poller] { close(descriptor) }
  }

  @Test(arguments: [1 << 2, 1 << 31, 1 << 2 | 1, 1 << 3 | 2] as [UInt32])
  func unknownFlagsAreInvalid(flags: UInt32) throws {
    try rig.events.assign(irq, 16)
    try rig.events.assign(end: end, of: irq)
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(16), flags: IRQFDFlags(rawValue: flags)), EINVAL)
    refuse(
      EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: EOIFDFlags(rawValue: flags)),
      EINVAL
    )
    // They come first: nothing else of the request is looked at.
    refuse(IRQFDRequest(-1, gsi: GSI(9999), flags: IRQFDFlags(rawValue: flags)), EINVAL)
    refuse(EOIFDRequest(-1, irqfd: -1, flags: EOIFDFlags(rawValue: flags)), EINVAL)
  }

  @Test(arguments: [-1, closed, Int32.min])
  func aClosedDescriptorIsBad(descriptor: Int32) throws {
    try rig.events.assign(irq, 16)
    refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: []), EBADF)
    refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: .level), EBADF)
    refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: .deassign), EBADF)
    refuse(EOIFDRequest(descriptor, irqfd: irq.rawValue), EBADF)
    refuse(EOIFDRequest(end.rawValue, irqfd: descriptor), EBADF)
    let flags: EOIFDFlags = [.deassign, .levelIRQFD]
    refuse(EOIFDRequest(descriptor, irqfd: irq.rawValue, flags: flags), EBADF)
    refuse(EOIFDRequest(end.rawValue, irqfd: descriptor, flags: flags), EBADF)
  }

  @Test func whatIsNoEventfdIsInvalid() throws {
    try rig.events.assign(irq, 16)
    let flags: EOIFDFlags = [.deassign, .levelIRQFD]
    try withOthers { descriptor in
      refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: []), EINVAL)
      refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: .level), EINVAL)
      refuse(IRQFDRequest(descriptor, gsi: GSI(16), flags: .deassign), EINVAL)
      refuse(EOIFDRequest(descriptor, irqfd: irq.rawValue), EINVAL)
      refuse(EOIFDRequest(end.rawValue, irqfd: descriptor), EINVAL)
      refuse(EOIFDRequest(descriptor, irqfd: irq.rawValue, flags: flags), EINVAL)
      refuse(EOIFDRequest(end.rawValue, irqfd: descriptor, flags: flags), EINVAL)
    }
  }

  @Test(arguments: [4096, UInt32.max])
  func aGSIBeyondTheLastIsInvalid(gsi: UInt32) {
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(gsi), flags: []), EINVAL)
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(gsi), flags: .level), EINVAL)
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(gsi), flags: .deassign), ENOENT)
  }

  @Test func anEventfdThatRaisesAGSIIsBusy() throws {
    try rig.events.assign(irq, 16)
    let same = try irq.duplicate()
    for gsi in [16, 17] as [UInt32] {
      for flags in [[], .level] as [IRQFDFlags] {
        refuse(IRQFDRequest(irq.rawValue, gsi: GSI(gsi), flags: flags), EBUSY)
        refuse(IRQFDRequest(same.rawValue, gsi: GSI(gsi), flags: flags), EBUSY)
      }
    }
  }

  @Test func anIRQFDIsTakenOffAsItWasAssigned() throws {
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(16), flags: .deassign), ENOENT)
    try rig.events.assign(irq, 16)
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(17), flags: .deassign), ENOENT)
    refuse(IRQFDRequest(end.rawValue, gsi: GSI(16), flags: .deassign), ENOENT)
    // Any descriptor of the eventfd will do, with the level flag or without.
    let same = try irq.duplicate()
    try rig.events.apply(IRQFDRequest(same.rawValue, gsi: GSI(16), flags: [.deassign, .level]))
    refuse(IRQFDRequest(irq.rawValue, gsi: GSI(16), flags: .deassign), ENOENT)
  }

  @Test func anEOIFDNeedsAnIRQFD() throws {
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue), ENODEV)
    try rig.events.assign(irq, 16)
    refuse(EOIFDRequest(end.rawValue, irqfd: end.rawValue), ENODEV)
    try rig.events.deassign(irq, 16)
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue), ENODEV)
  }

  @Test func anEOIFDNeedsALevelIRQFD() throws {
    try rig.events.assign(irq, 16, [])
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue), EINVAL)
  }

  @Test func anEOIFDNamesItsLevelIRQFDInBothDirections() throws {
    try rig.events.assign(irq, 16)
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: []), EINVAL)
    try rig.events.assign(end: end, of: irq)
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: .deassign), EINVAL)
  }

  @Test func anIRQFDHasOneEOIFD() throws {
    try rig.events.assign(irq, 16)
    try rig.events.assign(end: end, of: irq)
    let other = try EventFD()
    let (sameIRQ, sameEnd) = (try irq.duplicate(), try end.duplicate())
    for event in [end, sameEnd, other] {
      refuse(EOIFDRequest(event.rawValue, irqfd: irq.rawValue), EBUSY)
      refuse(EOIFDRequest(event.rawValue, irqfd: sameIRQ.rawValue), EBUSY)
    }
  }

  @Test func anEOIFDIsTakenOffByItsPairOnly() throws {
    refuse(
      EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: [.deassign, .levelIRQFD]),
      ENOENT
    )
    let (other, otherEnd) = (try EventFD(), try EventFD())
    try rig.events.assign(irq, 16)
    try rig.events.assign(other, 16)
    try rig.events.assign(end: end, of: irq)
    try rig.events.assign(end: otherEnd, of: other)
    for (end, irq) in [(end, other), (otherEnd, irq), (irq, end), (end, end)] {
      refuse(
        EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: [.deassign, .levelIRQFD]),
        ENOENT
      )
    }
    let (sameIRQ, sameEnd) = (try irq.duplicate(), try end.duplicate())
    try rig.events.deassign(end: sameEnd, of: sameIRQ)
    refuse(
      EOIFDRequest(end.rawValue, irqfd: irq.rawValue, flags: [.deassign, .levelIRQFD]),
      ENOENT
    )
  }

  @Test func aControllerThatCannotHelpRefusesTheEOIFD() throws {
    let kernel = FakeKernel(rig.plane.router)
    rig.plane.router.connect(ioAPIC: kernel, pic: nil, resampling: kernel)
    try rig.events.assign(irq, 30)
    refuse(EOIFDRequest(end.rawValue, irqfd: irq.rawValue), EINVAL)
    try rig.events.deassign(irq, 30)
    try rig.events.assign(irq, 16)
    try rig.events.assign(end: end, of: irq)
  }
}
