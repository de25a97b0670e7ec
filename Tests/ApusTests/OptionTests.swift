import Machine
import Testing

@testable import apus

@Suite struct OptionTests {
  @Test(
    arguments: [
      ("0", 0), ("512", 512), ("4K", 4096), ("64m", 64 << 20), ("2G", 2 << 30), ("1T", 1 << 40),
      ("3MiB", 3 << 20),
    ] as [(String, UInt64)]
  )
  func sizesTakeUnits(text: String, bytes: UInt64) {
    #expect(ByteSize(argument: text)?.bytes == bytes)
  }

  @Test(arguments: ["", "G", "-1", "1X", "1.5G", "99999999999999T", "0x10"])
  func refusesWhatIsNoSize(text: String) {
    #expect(ByteSize(argument: text) == nil)
  }

  @Test func diskTakesItsOptionsInAnyOrder() throws {
    let option = try #require(DiskOption(argument: "a.img,slot=3,readonly"))
    #expect(option.disk == MachineConfiguration.Disk(path: "a.img", isReadOnly: true, address: 3))
  }

  @Test func aDoubledCommaBelongsToTheDisksName() throws {
    let option = try #require(DiskOption(argument: "a,,b.img,address=0xfeb00000"))
    #expect(option.disk == MachineConfiguration.Disk(path: "a,b.img", address: 0xFEB0_0000))
  }

  @Test(arguments: ["", ",readonly", "a,ro", "a,slot=", "a,slot=x", "a,readonly=1"])
  func refusesWhatIsNoDisk(text: String) {
    #expect(DiskOption(argument: text) == nil)
  }

  @Test(arguments: [
    ("stdio", MachineConfiguration.Stream.standard), ("none", .none), ("file:/a:b", .file("/a:b")),
    ("unix:s", .unix("s")), ("pipe:p", .pipe("p")),
  ])
  func streamsHaveFiveForms(text: String, stream: MachineConfiguration.Stream) {
    #expect(StreamOption(argument: text)?.stream == stream)
  }

  @Test(arguments: ["", "file", "file:", "unix:", "pipe:", "tcp:1", "stdio:x"])
  func refusesWhatIsNoStream(text: String) {
    #expect(StreamOption(argument: text) == nil)
  }

  @Test(arguments: [("fpu vmx de", true), ("fpu svm", true), ("fpu svmx", false), ("", false)])
  func knowsHardwareVirtualizationByItsFlags(flags: String, has: Bool) {
    let text = "processor : 0\nflags\t\t: \(flags)\n"
    #expect(Accelerator.hasHardwareVirtualization(cpuinfo: text) == has)
  }
}
