import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

@testable import RemoteDevice

/// A disk of ours, as proxies drive it.
@Suite(.timeLimit(.minutes(5))) struct MPQEMUServerTests {
  @Test(arguments: MPQEMUGeneration.allCases)
  func aDiskIsReadAndInterrupts(generation: MPQEMUGeneration) throws {
    let rig = try MPQEMURig(generation)
    try rig.attach()
    let queue = try rig.start()

    #expect(try rig.readsSector(3, queue))
    #expect(try rig.readsSector(63, queue))

    #expect(waitUntil { isReadable(rig.trigger.rawValue) })
    rig.trigger.drain()
    // The end of an interrupt that nobody served: it comes again.
    rig.resample.signal()
    #expect(waitUntil { rig.trigger.drain() > 0 })
    // The status register, whose read lowers the line.
    #expect(try rig.proxy.readMemory(MPQEMURig.bar + 0x1000, 1) & 1 == 1)
    rig.resample.signal()
    #expect(waitUntil { !isReadable(rig.resample.rawValue) })
    _ = try rig.proxy.read(0, 4)
    #expect(!isReadable(rig.trigger.rawValue))
    #expect(rig.log.notices == [])
  }

  @Test func theFunctionFitsWhatQEMUsProxyKnows() throws {
    let rig = try MPQEMURig()
    #expect(try rig.proxy.read(0x00, 2) == 0x1AF4)
    #expect(try rig.proxy.read(0x02, 2) == 0x1042)
    #expect(try rig.proxy.read(0x3D, 1) == 1)
    try rig.proxy.write(.max, 0x10, 4)
    let mask = try rig.proxy.read(0x10, 4)
    #expect(mask & 0xF == 0)
    #expect(mask & 0xFFFF_FFF0 > 0xF000_0000)
    for offset in stride(from: UInt32(0x14), to: 0x28, by: 4) {
      try rig.proxy.write(.max, offset, 4)
      #expect(try rig.proxy.read(offset, 4) == 0)
    }
    var capability = UInt32(try rig.proxy.read(0x34, 1))
    while capability != 0 {
      #expect(try rig.proxy.read(capability, 1) == 0x09)
      capability = UInt32(try rig.proxy.read(capability + 1, 1))
    }
  }

  @Test func whatAGuestCanReachIsNoReasonToEnd() throws {
    let rig = try MPQEMURig()
    try rig.attach()
    // Bytes of the last doubleword, and what is beyond.
    #expect(try rig.proxy.read(0xFF, 1) == 0)
    #expect(try rig.proxy.read(0xFD, 3) == 0)
    #expect(try rig.proxy.read(0xFE, 4) == .max)
    #expect(try rig.proxy.read(.max, 4) == .max)
    #expect(try rig.proxy.write(0, 0x100, 1) == .max)
    // Where nothing answers, or not so.
    #expect(try rig.proxy.readMemory(0, 4) == .max)
    #expect(try rig.proxy.readMemory(.max, 8) == .max)
    #expect(try rig.proxy.readMemory(MPQEMURig.bar, 3) == .max)
    #expect(try rig.proxy.readMemory(MPQEMURig.bar, 16) == .max)
    #expect(try rig.proxy.writeMemory(0, MPQEMURig.bar - 1, 1) == .max)
    #expect(
      try rig.proxy.ask(
        .readBAR(MPQEMUBARAccess(address: MPQEMURig.bar, width: 1, isMemory: false))
      ) == .max
    )
    try rig.proxy.write(0, 0x04, 2)
    #expect(try rig.proxy.readMemory(MPQEMURig.bar, 4) == .max)
    #expect(try rig.proxy.read(0x00, 2) == 0x1AF4)
    #expect(rig.log.notices == [])
  }

  @Test func memoryIsReplacedWhileTheDriverRuns() throws {
    let rig = try MPQEMURig()
    try rig.attach()
    let queue = try rig.start()
    for sector in UInt64(0)..<32 {
      // The same, then less, then all again, as while firmware rearranges a machine.
      try rig.proxy.share(rig.memory)
      if sector % 4 == 0 { try rig.proxy.share(rig.memory, only: [0]) }
      #expect(try rig.readsSector(sector, queue))
    }
    #expect(rig.log.notices == [])
  }

  @Test func memoryThatIsTakenAwayIsNotUsed() throws {
    let rig = try MPQEMURig()
    try rig.attach()
    let queue = try rig.start()
    #expect(try rig.readsSector(1, queue))
    try rig.proxy.share(rig.memory, only: [MPQEMURig.high])
    // An answer says that the message before it was taken.
    _ = try rig.proxy.read(0, 4)
    try rig.proxy.share(rig.memory)
    #expect(try rig.readsSector(2, queue))
  }

  @Test func aResetIsAsAtPowerOn() throws {
    let rig = try MPQEMURig()
    try rig.attach()
    let queue = try rig.start()
    #expect(try rig.readsSector(1, queue))
    #expect(waitUntil { rig.trigger.drain() > 0 })
    try rig.proxy.ask(.reset)
    #expect(try rig.proxy.read(0x04, 2) == 0)
    #expect(try rig.proxy.read(0x10, 4) == 0)
    rig.resample.signal()
    #expect(waitUntil { !isReadable(rig.resample.rawValue) })
    try rig.place()
    #expect(try rig.proxy.readMemory(MPQEMURig.bar + 0x14, 1) == 0)
    let again = try rig.start()
    #expect(try rig.readsSector(2, again))
  }

  @Test func aHeartbeatIsAnswered() throws {
    let rig = try MPQEMURig(.v8)
    try rig.proxy.share(rig.memory)
    for _ in 0..<3 { #expect(try rig.proxy.ask(.ping) == 0) }
    try rig.proxy.ask(.reset)
  }

  @Test func allOfARealProxysRequestsAreAnswered() throws {
    let rig = try MPQEMURig()
    let file = try MemoryFile(count: 256 << 20)
    var (answered, expected) = (0, 0)
    for message in try MPQEMUCapture().messages {
      guard message.isFromProxy else {
        // As long as the real remote's.
        _ = try rig.proxy.reply()
        answered += 1
        continue
      }
      let decoded = try message.decoded()
      if ![.syncMemory, .setInterrupt].contains(decoded.command) { expected += 1 }
      let descriptors =
        decoded.command == .setInterrupt
        ? [rig.trigger.rawValue, rig.resample.rawValue]
        : Array(repeating: file.descriptor.rawValue, count: message.descriptors)
      try rig.proxy.send(message.bytes, descriptors)
    }
    #expect(answered == expected)
    #expect(answered == 2603)
    #expect(rig.log.notices == [])
  }

  @Test func theRestOfAMessageIsWaitedForSinceItsFirstByte() throws {
    let pair = try SocketPair()
    var channel = MPQEMUChannel(try pair.near.duplicated())
    for byte in [1, 2] as [UInt8] {
      _ = try SocketIO.send(pair.far.rawValue, [byte])
      try channel.flush()
      _ = try channel.receive()
    }
    // As the server does when it is woken.
    try channel.flush()
    #expect(channel.waitsSince != nil)
    #expect(channel.partialCount == 2)
  }
}
