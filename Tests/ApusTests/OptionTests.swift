import Machine
import Testing
import Virtio

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

  @Test func aDiskTakesWhatItIsToBe() throws {
    let option = try DiskOption(
      parsing: "a.img,direct,cache=writethrough,engine=sync,queues=3,serial=s-1,id=root,"
        + "bps=100M/16M,iops=2000,iops-burst=50"
    )
    var disk = MachineConfiguration.Disk(path: "a.img")
    disk.isDirect = true
    disk.cache = .writeThrough
    disk.engine = .calls
    disk.queueCount = 3
    disk.serial = "s-1"
    disk.name = "root"
    disk.limit.bytes = RateLimit.Rate(perSecond: 100 << 20, burst: 16 << 20)
    disk.limit.operations = RateLimit.Rate(perSecond: 2000, burst: 50)
    #expect(option.disk == disk)
  }

  @Test(
    arguments: [
      "nbd:unix:/run/a.sock", "nbd:unix:a.sock:disk", "nbd://host/disk", "nbd+unix:///?socket=/a",
    ]
  )
  func aDiskCanBeAServers(text: String) throws {
    let address = try #require(NBDAddress(text))
    #expect(try DiskOption(parsing: "\(text),readonly").disk.source == .nbd(address))
  }

  @Test func aDiskWithoutStorageHasASize() throws {
    #expect(try DiskOption(parsing: "null:2M").disk == MachineConfiguration.Disk(.null(2 << 20)))
    #expect(try DiskOption(parsing: "./null:2M").disk.source == .file("./null:2M"))
  }

  @Test(
    arguments: [
      ("a,ro", "ro is none of its options"), ("a,slot=x", "slot=x is no number"),
      ("a,cache=none", "cache=none is none of writeback, writethrough"),
      ("a,engine=aio", "engine=aio is none of auto, io_uring, sync"),
      ("a,bps=0", "bps=0 is no rate"),
      ("a,iops=5,iops-burst=x", "iops-burst=x is none"), ("a,bps-burst=4K", "nothing without bps"),
      ("nbd:host:10809", "none of nbd:unix:PATH[:EXPORT]"),
      ("null:", "null: needs a size, such as null:1G"),
      (",readonly", "begins with the name of a file"),
    ]
  )
  func whatIsWrongWithADiskIsSaid(text: String, message: String) throws {
    let error = #expect(throws: DiskOption.Failure.self) { _ = try DiskOption(parsing: text) }
    #expect(error?.description.contains(message) == true)
  }

  @Test(
    arguments: [
      ("a,queues=0", "queues=0: a disk has 1 to 64 queues"), ("a,queues=65", "1 to 64"),
      ("a,serial=", "an identification has 1 to 20 bytes"), ("a,id=a b", "a name has 1 to 32"),
      ("null:100", "100 bytes are no whole number of sectors"), ("null:0", "multiple of 512"),
      ("nbd://host/,direct", "that is for files"), ("null:1M,direct", "that is for files"),
      ("null:1M,engine=sync", "that is for files"),
    ]
  )
  func whatADiskCannotBeIsSaid(text: String, message: String) throws {
    var machine = MachineConfiguration(kernel: "k")
    machine.disks = [try DiskOption(parsing: text).disk]
    let error = #expect(throws: DiskError.self) { try machine.validate() }
    #expect(error?.description.hasPrefix("--disk ") == true)
    #expect(error?.description.contains(message) == true)
  }

  @Test func twoDisksHaveTwoNames() throws {
    var machine = MachineConfiguration(kernel: "k")
    machine.disks = try ["a,id=x", "b,id=x"].map { try DiskOption(parsing: $0).disk }
    let error = #expect(throws: DiskError.self) { try machine.validate() }
    #expect(error?.description == "--disk b,id=x: a has that name; give one of them another")
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
