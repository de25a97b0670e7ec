import DeviceModel
import Interrupts
import Synchronization
import TestSupport
import Testing

/// Sources, lines and routes: what reaches the pins and the processors.
@Suite struct InterruptRouterTests {
  /// A controller that writes down the levels it finds when it is told to look.
  final class RecordingController: InterruptController {
    private let levels: PinLevels
    private let state = Mutex<[UInt32]>([])

    init(_ levels: PinLevels) { self.levels = levels }

    /// The levels, without repetitions, in order.
    var seen: [UInt32] { state.withLock { $0 } }

    func refresh() {
      state.withLock { seen in
        let now = levels.all
        if seen.last ?? 0 != now { seen.append(now) }
      }
    }
  }

  /// Processors that write down what they are sent.
  final class RecordingTarget: MessageTarget {
    private let state = Mutex<[InterruptMessage]>([])
    var messages: [InterruptMessage] { state.withLock { $0 } }
    func deliver(_ message: InterruptMessage) -> InterruptDelivery {
      state.withLock { $0.append(message) }
      return .delivered
    }
  }

  let target = RecordingTarget()
  let router: InterruptRouter
  let ioAPIC: RecordingController
  let pic: RecordingController

  init() throws {
    router = InterruptRouter(messages: target)
    ioAPIC = RecordingController(router.ioAPICLevels)
    pic = RecordingController(router.picLevels)
    router.connect(ioAPIC: ioAPIC, pic: pic)
    try router.setRoutes(.pc)
  }

  func counters(_ gsi: UInt32) -> InterruptCounters { router.counters(of: GSI(gsi)) }

  @Test func aSourceThatNobodyTouchesChangesNothing() throws {
    try router.makeSource(of: GSI(17)).deassert()
    #expect(ioAPIC.seen == [])
  }

  @Test func oneSourceRaisesAndLowersItsPin() throws {
    let source = try router.makeSource(of: GSI(17))
    source.assert()
    #expect(source.isAsserted)
    source.deassert()
    #expect(ioAPIC.seen == [1 << 17, 0])
    #expect(pic.seen == [])
  }

  /// IRQ 0 is on pin 2 of the I/O APIC; nothing is on IRQ 2 (the MADT's override).
  @Test(
    arguments: [(0, 1 << 2, 1 << 0), (2, 0, 0), (4, 1 << 4, 1 << 4), (23, 1 << 23, 0)]
      as [(UInt32, UInt32, UInt32)]
  )
  func aPCWiresItsLinesToBothControllers(gsi: UInt32, ioAPIC: UInt32, pic: UInt32) throws {
    let source = try router.makeSource(of: GSI(gsi))
    source.assert()
    #expect(router.ioAPICLevels.all == ioAPIC)
    #expect(router.picLevels.all == pic)
  }

  @Test func assertingTwiceCountsOnce() throws {
    let source = try router.makeSource(of: GSI(17))
    source.assert()
    source.assert()
    source.deassert()
    source.deassert()
    source.assert()
    #expect(ioAPIC.seen == [1 << 17, 0, 1 << 17])
    #expect(counters(17).raised == 2)
    #expect(counters(17).coalesced == 1)
  }

  @Test func theLineIsHighWhileAnySourceIs() throws {
    let first = try router.makeSource(of: GSI(17))
    let second = try router.makeSource(of: GSI(17))
    first.assert()
    second.assert()
    first.deassert()
    #expect(ioAPIC.seen == [1 << 17])
    second.deassert()
    #expect(ioAPIC.seen == [1 << 17, 0])
  }

  @Test func aSourceThatIsReleasedWhileAssertedLowersTheLine() throws {
    var source: InterruptSource? = try router.makeSource(of: GSI(17))
    source?.assert()
    source = nil
    #expect(source == nil)
    #expect(ioAPIC.seen == [1 << 17, 0])
  }

  @Test func aSourceThatIsReleasedLeavesTheOthersAsTheyAre() throws {
    let other = try router.makeSource(of: GSI(17))
    var source: InterruptSource? = try router.makeSource(of: GSI(17))
    other.assert()
    source?.assert()
    source = nil
    #expect(source == nil)
    #expect(ioAPIC.seen == [1 << 17])
  }

  @Test func aSourceKeepsItsRouterAlive() throws {
    var router: InterruptRouter? = InterruptRouter(messages: target)
    let levels = try #require(router?.ioAPICLevels)
    try router?.setRoutes(.pc)
    let source = try router?.makeSource(of: GSI(3))
    router = nil
    source?.assert()
    #expect(levels.all == 1 << 3)
  }

  @Test func gsisBeyondTheLastAreRefused() {
    #expect(throws: InterruptError.noSuchGSI(GSI(4096))) {
      try router.makeSource(of: GSI(4096))
    }
  }

  @Test func aMessageIsSentAtTheRiseOnly() throws {
    let message = InterruptMessage(address: 0xFEE0_0000, data: 0x41)
    try router.setRoutes(of: GSI(30), [.message(message)])
    let source = try router.makeSource(of: GSI(30))
    source.assert()
    source.assert()
    source.deassert()
    #expect(target.messages == [message])
    #expect(counters(30).delivered == 1)
  }

  @Test func aPulseIsARiseAndAFall() throws {
    router.pulse(GSI(20))
    #expect(ioAPIC.seen == [1 << 20, 0])
  }

  @Test func anAssertedLineFollowsItsRoute() throws {
    let source = try router.makeSource(of: GSI(20))
    source.assert()
    try router.setRoutes(of: GSI(20), [.pin(.ioAPIC(5)), .pin(.pic(5))])
    #expect(router.ioAPICLevels.all == 1 << 5)
    #expect(router.picLevels.all == 1 << 5)
    let message = InterruptMessage(address: 0xFEE0_0000, data: 0x41)
    try router.setRoutes(of: GSI(20), [.message(message)])
    #expect(router.ioAPICLevels.all == 0)
    #expect(target.messages == [message])
    try router.setRoutes(RoutingTable())
    try router.setRoutes(.pc)
    #expect(router.ioAPICLevels.all == 1 << 20)
    source.deassert()
    #expect(router.ioAPICLevels.all == 0)
  }

  @Test func linesThatShareAPinAreItsOr() throws {
    try router.setRoutes(of: GSI(21), [.pin(.ioAPIC(20))])
    let first = try router.makeSource(of: GSI(20))
    let second = try router.makeSource(of: GSI(21))
    first.assert()
    second.assert()
    first.deassert()
    #expect(router.ioAPICLevels.all == 1 << 20)
    try router.setRoutes(of: GSI(21), [])
    #expect(router.ioAPICLevels.all == 0)
  }

  @Test(
    arguments: [
      [.pin(.ioAPIC(24))], [.pin(.ioAPIC(-1))], [.pin(.pic(16))],
      [.pin(.ioAPIC(1)), .pin(.ioAPIC(2))],
      [.pin(.pic(1)), .pin(.pic(2))],
      [.pin(.ioAPIC(1)), .message(InterruptMessage(address: 0, data: 0))],
    ] as [[InterruptRoute]]
  )
  func routesThatMakeNoSenseAreRefusedAndNothingChanges(_ routes: [InterruptRoute]) throws {
    let before = router.routes
    var table = RoutingTable.pc
    table.routes[GSI(9)] = routes
    #expect(throws: InterruptError.self) { try router.setRoutes(table) }
    #expect(throws: InterruptError.self) { try router.setRoutes(of: GSI(9), routes) }
    #expect(throws: InterruptError.noSuchGSI(GSI(5000))) {
      try router.setRoutes(RoutingTable([GSI(5000): []]))
    }
    #expect(router.routes == before)
    #expect(before == .pc)
  }

  @Test func theEndOfAnInterruptReleasesWhatIsBoundAndTellsIt() throws {
    let bound = try router.makeSource(of: GSI(16))
    let plain = try router.makeSource(of: GSI(16))
    let ends = Atomic(0)
    try bound.bind { ends.add(1, ordering: .relaxed) }
    bound.assert()
    plain.assert()

    router.acknowledged(.ioAPIC(16))
    #expect(!bound.isAsserted && plain.isAsserted)
    #expect(router.ioAPICLevels.all == 1 << 16)
    router.acknowledged(.ioAPIC(16))
    #expect(ends.load(ordering: .relaxed) == 1)
    #expect(counters(16).resampled == 1)
    #expect(counters(16).ended == 2)

    plain.deassert()
    try bound.bind(nil)
    bound.assert()
    router.acknowledged(.ioAPIC(16))
    #expect(bound.isAsserted)
    #expect(ends.load(ordering: .relaxed) == 1)
  }

  @Test func allThatShareALineAreToldInTheOrderInWhichTheyAskedTo() throws {
    let told = Mutex<[Int]>([])
    let sources = try (0..<5).map { _ in try router.makeSource(of: GSI(16)) }
    for (index, source) in sources.enumerated() {
      try source.bind { told.withLock { $0.append(index) } }
      source.assert()
    }

    router.acknowledged(.ioAPIC(16))

    #expect(told.withLock { $0 } == [0, 1, 2, 3, 4])
    #expect(sources.allSatisfy { !$0.isAsserted })
    #expect(router.ioAPICLevels.all == 0)
  }

  @Test(arguments: [ControllerPin.ioAPIC(24), .ioAPIC(-1), .pic(16), .pic(-1)])
  func theEndOfAPinThatThereIsNotIsNobodys(pin: ControllerPin) throws {
    let source = try router.makeSource(of: GSI(16))
    try source.bind {}
    source.assert()

    router.acknowledged(pin)

    #expect(source.isAsserted)
    #expect(router.report.allSatisfy { $0.counters.ended == 0 })
  }

  @Test func anEndWithNothingAssertedIsSpurious() throws {
    let source = try router.makeSource(of: GSI(16))
    source.assert()
    source.deassert()
    router.acknowledged(.ioAPIC(16))
    #expect(counters(16).spurious == 0)
    router.acknowledged(.ioAPIC(16))
    #expect(counters(16).spurious == 1)
  }

  @Test func anInterruptOfALineThatStayedUpIsNotSpurious() throws {
    let source = try router.makeSource(of: GSI(16))
    source.assert()
    router.acknowledged(.ioAPIC(16))
    // It was delivered again, and the guest serves the device now.
    source.deassert()
    router.acknowledged(.ioAPIC(16))
    #expect(counters(16).spurious == 0)
    router.acknowledged(.ioAPIC(16))
    #expect(counters(16).spurious == 1)
  }

  @Test func aNotifierMayAssertAgain() throws {
    let source = try router.makeSource(of: GSI(16))
    try source.bind { [unowned source] in source.assert() }
    source.assert()
    router.acknowledged(.ioAPIC(16))
    #expect(source.isAsserted)
    #expect(router.ioAPICLevels.all == 1 << 16)
    try source.bind(nil)
  }

  @Test func whatIsDisconnectedHearsNothing() throws {
    router.disconnect()
    try router.makeSource(of: GSI(16)).assert()
    #expect(ioAPIC.seen == [])
  }

  /// A raise and a fall that overtook one another would leave the controller at the wrong level.
  @Test(arguments: [false, true])
  func theControllerEndsAtTheLastLevelUnderContention(endsHigh: Bool) throws {
    let router = router
    let keeper = try router.makeSource(of: GSI(17))
    let threads = try (0..<4).map { _ in
      try TestThread {
        for round in 0..<2000 {
          guard let source = try? router.makeSource(of: GSI(17)) else { return }
          source.assert()
          // Every other one is released while asserted.
          if round % 2 == 0 { source.deassert() }
        }
      }
    }
    for round in 0..<2000 {
      if round % 2 == 0 { keeper.assert() } else { keeper.deassert() }
    }
    for thread in threads { thread.join() }
    if endsHigh { keeper.assert() } else { keeper.deassert() }
    #expect(ioAPIC.seen.last == (endsHigh ? 1 << 17 : 0))
    #expect(router.ioAPICLevels.all == (endsHigh ? 1 << 17 : 0))
  }
}
