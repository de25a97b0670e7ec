import Glibc
import GuestMemory
import HostOS
import Testing
import TestSupport

@testable import RemoteDevice

/// A proxy that breaks the protocol is cut off with one line that says what it sent, and nothing of it is left.
@Suite(.timeLimit(.minutes(5))) struct HostileProxyTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let line: String
    let body: @Sendable (ScriptedProxy, MemoryFile) throws -> Void

    init(_ line: String, _ body: @escaping @Sendable (ScriptedProxy, MemoryFile) throws -> Void) {
      self.line = line
      self.body = body
    }

    var testDescription: String { line }
  }

  private static let kept = try? EventFD()
  private static var event: Int32 { kept?.rawValue ?? -1 }

  private static func header(_ command: Int32, _ size: Int) -> [UInt8] {
    MPQEMUHeader(command: command, second: 0, size: size).bytes
  }

  private static func sync(_ regions: (UInt64, UInt64, UInt64)...) -> MPQEMUMessage {
    .syncMemory(regions.map { MPQEMURegion(address: $0.0, size: $0.1, offset: $0.2) })
  }

  static let cases = [
    Case("unknown command 8") { proxy, _ in try proxy.send(header(8, 0)) },
    Case("unknown command -1") { proxy, _ in try proxy.send(header(-1, 0)) },
    Case("command 5 has 257 bytes of payload, more than any") { proxy, _ in
      try proxy.send(header(5, 257))
    },
    Case("command 0 has 18446744073709551615 bytes") { proxy, _ in
      try proxy.send([0, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8))
    },
    Case("RET, which only the other side sends") { proxy, _ in try proxy.tell(.reply(0)) },
    Case("SYNC_SYSMEM with 0 descriptors, not 1 to 8") { proxy, _ in
      try proxy.tell(sync((0, 0x1000, 0)))
    },
    Case("SYNC_SYSMEM with 9 descriptors") { proxy, file in
      let number = file.descriptor.rawValue
      try proxy.tell(sync((0, 0x1000, 0)), Array(repeating: number, count: 9))
    },
    Case("more than 32 descriptors") { proxy, file in
      let number = file.descriptor.rawValue
      try proxy.tell(sync((0, 0x1000, 0)), Array(repeating: number, count: 33))
    },
    Case("is not in whole pages") { proxy, file in
      try proxy.tell(sync((0, 0x800, 0)), [file.descriptor.rawValue])
    },
    Case("is not in whole pages") { proxy, file in
      try proxy.tell(sync((.max - 0xFFF, 0x2000, 0)), [file.descriptor.rawValue])
    },
    Case("overlaps the range at 0x0") { proxy, file in
      let number = file.descriptor.rawValue
      try proxy.tell(sync((0, 0x2000, 0), (0x1000, 0x1000, 0)), [number, number])
    },
    Case("are not in a file of 65536") { proxy, file in
      try proxy.tell(sync((0, 0x11000, 0)), [file.descriptor.rawValue])
    },
    Case("SYNC_SYSMEM: ") { proxy, _ in
      try proxy.tell(sync((0, 0x1000, 0)), [event])
    },
    Case("SET_IRQFD with 1 descriptors, not 2") { proxy, _ in
      try proxy.tell(.setInterrupt, [event])
    },
    Case("SET_IRQFD with a file, not an eventfd") { proxy, file in
      try proxy.tell(.setInterrupt, [event, file.descriptor.rawValue])
    },
    Case("SET_IRQFD with an eventfd or the like, not an eventfd") { proxy, _ in
      let poller = try Poller()
      try proxy.tell(.setInterrupt, [poller.rawValue, event])
    },
    Case("PCI_CFGREAD of 5 bytes") { proxy, _ in
      try proxy.tell(.readConfiguration(MPQEMUConfigurationAccess(address: 0, width: 5)))
    },
    Case("the connection ended after 7 bytes of a message") { proxy, _ in
      try proxy.send([0, 0, 0, 0, 0, 0, 0])
      proxy.hangUp()
    },
    Case("the connection ended after 20 bytes of a message") { proxy, _ in
      try proxy.send(header(5, 24) + [1, 2, 3, 4])
      proxy.hangUp()
    },
  ]

  @Test(arguments: cases) func isCutOff(hostile: Case) throws {
    let rig = try MPQEMURig()
    let file = try MemoryFile(count: 0x10000)
    try hostile.body(rig.proxy, file)
    #expect(rig.waitForLine(hostile.line), "\(rig.log.notices)")
    #expect(rig.log.notices.count == 1)
    #expect(rig.proxy.isCutOff())
  }

  @Test func nothingIsLeftOpen() async {
    await #expect(processExitsWith: .success) {
      var counts: Set<Int> = []
      for _ in 0..<3 {
        for hostile in Self.cases {
          let rig = try MPQEMURig()
          let file = try MemoryFile(count: 0x10000)
          try? rig.attach()
          try? hostile.body(rig.proxy, file)
          _ = rig.proxy.isCutOff()
          rig.end()
        }
        counts.insert(openDescriptorCount())
      }
      precondition(counts.count == 1, "\(counts) descriptors are open")
    }
  }

  @Test func aFileThatIsCutShortEndsTheConnection() throws {
    let rig = try MPQEMURig()
    let file = try MemoryFile(count: 0x400000)
    try rig.proxy.tell(Self.sync((0, 0x400000, 0)), [file.descriptor.rawValue])
    try rig.place()
    try file.truncate(to: 0)
    let memory = rig.memory
    _ = memory
    // Its queue is looked at, and is not there.
    _ = try? rig.start()
    #expect(rig.waitForLine("a memory file was cut short while it was in use"))
  }

  @Test func aProxyThatReadsNothingHoldsUpNobodyButItself() throws {
    let rig = try MPQEMURig()
    try rig.proxy.share(rig.memory)
    let read = MPQEMUMessage.readConfiguration(MPQEMUConfigurationAccess(address: 0, width: 4))
    for _ in 0..<20_000 {
      guard (try? rig.proxy.send(read.bytes(in: .current))) != nil else { break }
    }
    // The server still hears that it is to stop.
    rig.end()
  }
}
