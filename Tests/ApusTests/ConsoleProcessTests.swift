import DeviceModel
import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

@testable import Machine
@testable import RemoteDevice

/// Consoles and balloons in processes of their own, which are killed.
@Suite(.timeLimit(.minutes(5))) struct ConsoleProcessTests {
  /// A console of a terminal and ports, with the machine's side of it.
  private final class Rig {
    let host: ConsoleLinkHost
    let rig: SupervisedFunctionRig
    /// The world outside, by port.
    private var outside: [Outside] = []

    private final class Outside {
      let socket: OwnedFileDescriptor

      init(_ socket: consuming OwnedFileDescriptor) { self.socket = socket }
    }

    init(ports: [String] = []) throws {
      var ends: [ConsoleLinkEnd?] = []
      for _ in 0...ports.count {
        let pair = try SocketPair()
        try FileIO.setNonBlocking(pair.near.rawValue)
        outside.append(Outside(try pair.near.duplicated()))
        ends.append(try ConsoleLinkEnd(pair.far.duplicated()))
      }
      host = try ConsoleLinkHost(
        ends,
        names: ["console"] + ports,
        isOpen: ends.indices.map { $0 == 0 }
      )
      try host.start()
      rig = try SupervisedFunctionRig(
        "console",
        ["console", "link:5"] + ports.map { "--port=\($0)" },
        descriptors: host.descriptors
      )
    }

    func takeOutside(_ port: Int) throws -> OwnedFileDescriptor {
      try outside[port].socket.duplicated()
    }

    func stop() {
      rig.function.stop()
      host.stop()
    }
  }

  @Test(.needsBinary, arguments: [[], .packedRing] as [VirtioFeatures])
  func noByteOfATerminalIsLostOrMovedTwice(without: VirtioFeatures) async throws {
    try await Program.onThread {
      let rig = try Rig()
      let driver = rig.rig.driver
      try driver.negotiate(without: without)
      let load = ConsoleLoad(
        rig.rig.memory,
        rig.host,
        outside: try rig.takeOutside(0),
        receiving: try driver.makeQueue(0),
        transmitting: try driver.makeQueue(1)
      ) {
        rig.rig.ring($0)
      }
      driver.start()

      for _ in 0..<12 {
        try load.run(for: .milliseconds(Int.random(in: 5...60)))
        try rig.rig.kill { try load.run(for: .milliseconds(5)) }
      }
      let isComplete = try load.finish()

      #expect(isComplete, "\(load.heard) of \(load.printed), \(load.read) of \(load.typed)")
      #expect(load.failures == [])
      #expect(load.printed > 0 && load.typed > 0)
      rig.stop()
    }
  }

  @Test(.needsBinary) func aDriverIsToldOfPortsOnceAndOfEveryoneWhoComes() async throws {
    try await Program.onThread {
      let rig = try Rig(ports: ["agent"])
      let driver = rig.rig.driver
      let memory = rig.rig.memory
      try driver.negotiate()
      let queues = try (0..<6).map { try driver.makeQueue(UInt16($0)) }
      driver.start()
      func tell(_ event: UInt16, port: UInt8) throws {
        try memory.write([port, 0, 0, 0, UInt8(event), 0, 1, 0], at: GuestAddress(0x180000))
        _ = try driver.request(3, queues[3], [.readable(0x180000, 8)])
      }
      var heard: [[UInt8]] = []
      func hear(_ count: Int) throws {
        for _ in 0..<count {
          _ = try queues[2].add([.writable(0x190000, 64)])
          try driver.kick(2, queues[2])
          let written = try driver.waitForUsed(queues[2]).written
          let bytes = try memory.read(at: GuestAddress(0x190000), count: Int(written))
          heard.append([bytes[0], bytes[4], bytes[6]])
        }
      }
      try tell(0, port: 0)
      try hear(2)
      try tell(3, port: 0)
      try tell(3, port: 1)
      try tell(6, port: 1)
      try hear(3)
      // The ports, that one is a terminal with somebody there, and the name of the other.
      #expect(heard == [[0, 1, 1], [1, 1, 1], [0, 4, 1], [0, 6, 1], [1, 7, 1]])

      heard = []
      try rig.rig.kill {}
      rig.host.setOpen(1, true)
      try hear(1)
      // What was told right before a death may be told again, which drivers pass over.
      if heard == [[1, 7, 1]] {
        heard = []
        try hear(1)
      }
      let output = try rig.takeOutside(1)
      try memory.write(Array("hello".utf8), at: GuestAddress(0x1A0000))
      _ = try driver.request(5, queues[5], [.readable(0x1A0000, 5)])
      let isHeard = try waitUntil {
        try FileIO.read(output.rawValue, atMost: 16) == Array("hello".utf8)
      }
      try rig.rig.kill {
        // Somebody else by the time that there is a process again.
        rig.host.setOpen(1, false)
        rig.host.setOpen(1, true)
      }
      try hear(2)

      #expect(isHeard)
      #expect(heard == [[1, 6, 1], [1, 6, 0], [1, 6, 1]])
      rig.stop()
    }
  }

  @Test(.needsBinary) func whatABalloonTakesIsTheHostsAgain() async throws {
    try await Program.onThread {
      let balloon = MachineConfiguration.Balloon(size: 1 << 20)
      let rig = try SupervisedFunctionRig("balloon", balloon.serveArguments)
      let driver = rig.driver
      try driver.negotiate()
      let inflating = try driver.makeQueue(0)
      driver.start()
      try rig.memory.write([UInt8](repeating: 7, count: 0x80000), at: GuestAddress(0x200000))
      let pages = (0x200..<0x240).flatMap { page in
        (0..<4).map { UInt8(truncatingIfNeeded: page >> (8 * $0)) }
      }
      try rig.memory.write(pages, at: GuestAddress(0x100000))
      let before = Self.blocks(rig.memory)
      let list: [MockBuffer] = [.readable(0x100000, UInt32(pages.count))]
      _ = try driver.request(0, inflating, list)
      rig.function.writeBAR(0x40, BusAccess(region: 0, offset: 0x2000 + 4, width: 4))
      let after = Self.blocks(rig.memory)
      try rig.kill {}

      #expect(before - after == 0x40 * 8)
      #expect(driver.transport.readConfiguration(offset: 0, width: 4) == 0x100)
      #expect(driver.transport.readConfiguration(offset: 4, width: 4) == 0x40)
      _ = try driver.request(0, inflating, list)
      rig.function.stop()
    }
  }

  /// The blocks of 512 bytes that a memory file takes.
  private static func blocks(_ memory: GuestMemory) -> Int {
    var status = stat()
    memory.file.borrow { _ = fstat($0.rawValue, &status) }
    return Int(status.st_blocks)
  }
}
