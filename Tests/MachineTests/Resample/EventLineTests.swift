import DeviceModel
import HostOS
import Interrupts
import Testing
import TestSupport

@testable import Machine

/// A line that another process drives keeps the rules of a level interrupt.
@Suite(.timeLimit(.minutes(5))) struct EventLineTests {
  private let plane = DetachedPlane()
  private let gsi = GSI(17)

  private func isAsserted() -> Bool {
    plane.lineReport.contains { $0.gsi == gsi && $0.isAsserted }
  }

  private func makeLine() throws -> any ResampledLine {
    try plane.setRoutes(.pc)
    return try plane.makeResampledLine(
      17,
      on: InterruptEvents(plane.router, on: InterruptEventLoop())
    )
  }

  @Test func aSignalRaisesItUntilTheEndOfTheInterrupt() throws {
    let line = try makeLine()
    let (event, resample) = (try EventFD(), try EventFD())
    try line.connect(event, resample: resample)
    event.signal()
    let isUp = waitUntil { isAsserted() }
    #expect(isUp)
    #expect(resample.drain() == 0)
    plane.router.acknowledged(.ioAPIC(17))
    #expect(!isAsserted())
    #expect(resample.drain() == 1)
  }

  @Test func oneThatIsDisconnectedIsDownAndHearsNothing() throws {
    let line = try makeLine()
    let (event, resample) = (try EventFD(), try EventFD())
    try line.connect(event, resample: resample)
    event.signal()
    let isUp = waitUntil { isAsserted() }
    #expect(isUp)
    line.disconnect()
    let isDown = waitUntil { !isAsserted() }
    #expect(isDown)
    // Another pair takes its place.
    let next = (try EventFD(), try EventFD())
    try line.connect(next.0, resample: next.1)
    event.signal()
    next.0.signal()
    let isUpAgain = waitUntil { isAsserted() }
    #expect(isUpAgain)
    #expect(event.drain() == 1)
    plane.router.acknowledged(.ioAPIC(17))
    #expect(resample.drain() == 0)
    #expect(next.1.drain() == 1)
  }
}
