import Glibc
import HostOS
import TestSupport
import Testing
import Virtio

@testable import Machine

/// Network interfaces as a user asks for them.
@Suite struct NetworkTests {
  private typealias Network = MachineConfiguration.Network

  private static func configuration(
    _ link: MachineConfiguration.Network.Link,
    _ change: (inout MachineConfiguration.Network) -> Void = { _ in }
  ) -> MachineConfiguration {
    var configuration = MachineConfiguration(kernel: "kernel")
    var network = Network(link)
    change(&network)
    configuration.networks = [network]
    return configuration
  }

  @Test func aBoardHasItsInterfaces() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.networks = [Network(.tap("a")), Network(.unix("b", isServer: false))]
      configuration.networks[1].address = 9
      configuration.networks[1].queuePairs = 1
    }
    let functions = rig.board.pci.functions.filter { $0.function.name.hasPrefix("net") }
    #expect(functions.map { $0.function.name } == ["net0", "net1"])
    #expect(functions[1].address.device == 9)
    // 0x1041: a network interface of virtio 1.0 and later (4.1.2.1).
    #expect(functions.allSatisfy { $0.function.configuration.deviceID == 0x1041 })
  }

  @Test func anInterfaceThatIsOutOfPlaceIsNamed() throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig { configuration, _ in
        configuration.networks = [Network(.tap("a"))]
        configuration.networks[0].address = 40
      }
    }
    #expect(error.description == "--net tap=a,slot=40: PCI device numbers are 1 to 31")
  }

  @Test(
    arguments: [
      (.tap(""), "--net tap=: an interface's name has 1 to 15 bytes and no slash"),
      (.tap("a/b"), "--net tap=a/b: an interface's name has 1 to 15 bytes and no slash"),
      (
        .descriptors([3, 3]),
        "--net fd=3:3: name 1 to 256 descriptors, each once, as in fd=3:4"
      ),
    ] as [(MachineConfiguration.Network.Link, String)]
  )
  func linksThatCannotBeAreRefused(
    link: MachineConfiguration.Network.Link,
    message: String
  ) throws {
    let error = try #require(throws: NetworkError.self) { try Self.configuration(link).validate() }
    #expect(error.description == message)
  }

  @Test func valuesOutOfRangeAreRefused() throws {
    let cases: [(MachineConfiguration, NetworkError)] = [
      (Self.configuration(.tap("a")) { $0.mtu = 67 }, .mtu("tap=a", 67)),
      (Self.configuration(.tap("a")) { $0.queuePairs = 0 }, .queues("tap=a", 0, limit: 256)),
      (
        Self.configuration(.unix("p", isServer: true)) { $0.queuePairs = 2 },
        .queues("unix:p,server", 2, limit: 1)
      ),
      (
        Self.configuration(.tap("a")) { $0.macAddress = MACAddress(0x0100_0000_0000) },
        .address("tap=a", MACAddress(0x0100_0000_0000))
      ),
    ]
    for (configuration, error) in cases {
      #expect(throws: error) { try configuration.validate() }
    }
  }

  @Test func twoInterfacesAreTwo() throws {
    var configuration = Self.configuration(.tap("a"))
    configuration.networks.append(Network(.tap("a")))
    #expect(throws: NetworkError.taken("tap=a")) { try configuration.validate() }
    configuration.networks[1] = Network(.tap("b"))
    try configuration.validate()
    for index in 0..<2 { configuration.networks[index].macAddress = MACAddress(2) }
    #expect(throws: NetworkError.sameAddress("tap=b", other: "tap=a", MACAddress(2))) {
      try configuration.validate()
    }
  }

  @Test func addressesAreTheirOwnAndStayTheSame() {
    let first = NetworkLink.address(of: Network(.tap("a")))
    let second = NetworkLink.address(of: Network(.tap("b")))
    #expect(first == NetworkLink.address(of: Network(.tap("a"))))
    #expect(first != second)
    #expect(!first.isMulticast && first.rawValue >> 40 == 2)
    var given = Network(.tap("a"))
    given.macAddress = MACAddress(0x5254_0000_0001)
    #expect(NetworkLink.address(of: given) == MACAddress(0x5254_0000_0001))
  }

  @Test func aSocketThatNobodyListensOnIsNamed() throws {
    let error = try #require(throws: NetworkError.self) {
      _ = try NetworkLink.open(Network(.unix("/nowhere/socket", isServer: false)))
    }
    #expect(
      error.description
        == "--net unix:/nowhere/socket: No such file or directory; "
        + "start the program that listens there first"
    )
  }

  @Test func aConsoleHasItsPorts() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.ports = [
        .init(name: "a", stream: .file("f")), .init(name: "b", stream: .standard),
      ]
      configuration.serial = .none
    }
    // 0x1043: a console (4.1.2.1).
    let console = try #require(
      rig.board.pci.functions.first { $0.function.configuration.deviceID == 0x1043 }
    )
    #expect(console.function.name == "console0")
    let controller = try #require(rig.board.controllers.first { $0.queueCount == 8 })
    #expect(controller.readConfiguration(offset: 4, width: 4) == 3)
  }

  @Test func portsThatCannotBeAreRefused() throws {
    let cases: [([MachineConfiguration.Port], String)] = [
      (
        [.init(name: "a/b", stream: .file("f"))],
        "--port a/b=file:f: a port's name has 1 to 127 bytes, without a slash, blank or control character"
      ),
      (
        [.init(name: "a", stream: .unix("f")), .init(name: "a", stream: .pipe("f"))],
        "--port a=pipe:f: another port has this name; choose another name"
      ),
      (
        [.init(name: "a", stream: .standard)],
        "--port a=stdio: --serial, --console or another port has the terminal; "
          + "give that one none, file:F or unix:F"
      ),
    ]
    for (ports, message) in cases {
      var configuration = MachineConfiguration(kernel: "kernel")
      configuration.ports = ports
      let error = try #require(throws: MachineError.self) { try configuration.validate() }
      #expect(error.description == message)
    }
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.ports = (0..<31).map { .init(name: "\($0)", stream: .file("f")) }
    #expect(throws: MachineError.tooManyDevices(kind: "console port", limit: 30)) {
      try configuration.validate()
    }
  }

  @Test func aBalloonHasItsPlaceOnTheBoard() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.balloon = .init(size: 1 << 20, address: 6)
    }
    let function = try #require(rig.board.pci.functions.first { $0.address.device == 6 })
    // 0x1045: a memory balloon (4.1.2.1).
    #expect(function.function.configuration.deviceID == 0x1045)
    #expect(rig.board.balloon?.target == 1 << 20)
  }

  @Test func aBalloonCannotTakeEverything() throws {
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.memory = 64 << 20
    configuration.balloon = .init(size: 64 << 20)
    let error = try #require(throws: MachineError.self) { try configuration.validate() }
    #expect(
      error.description == "--balloon size=64M: the guest has 64M in all; take less"
    )
    configuration.balloon?.size = 0
    configuration.usesHugePages = true
    #expect(throws: MachineError.balloonOfHugePages) { try configuration.validate() }
  }

  @Test func theReportTellsOfNetworksAndMemory() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.networks = [Network(.tap("a"))]
      configuration.balloon = .init(size: 1 << 20)
    }
    var statistics = BalloonStatistics()
    statistics[.total] = 64 << 20
    statistics[.free] = 32 << 20
    let report = DeviceReport(
      networks: rig.board.networks,
      balloon: rig.board.balloon,
      statistics: statistics
    )
    #expect(
      report.text == """
        devices:
          net0 (\(rig.board.networks[0].networkLabel)): received 0 frames (0 bytes), sent 0 (0 bytes); dropped 0 received, 0 sent, \
        0 malformed; filtered 0
          balloon0: 1M wanted, 0 given, 0 given back to the host in all; guest: 64M total, 32M free

        """
    )
  }

  @Test func socketsHaveTheirPlaceOnTheBoard() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.vsock = .init(cid: 5, path: "/run/v", address: 6)
    }
    let function = try #require(rig.board.pci.functions.first { $0.address.device == 6 })
    // 0x1053: a socket device (4.1.2.1).
    #expect(function.function.configuration.deviceID == 0x1053)
  }

  @Test(arguments: [0, 2, 0xFFFF_FFFF, 1 << 32] as [UInt64])
  func contextsOfOthersAreRefused(cid: UInt64) throws {
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.vsock = .init(cid: cid, path: "v")
    let error = try #require(throws: MachineError.self) { try configuration.validate() }
    #expect(
      error.description == "--vsock cid=\(cid),path=v: a guest's cid is 3 to 4294967294"
    )
  }

  @Test func aPathWithoutRoomForAPortIsRefused() throws {
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.vsock = .init(cid: 3, path: String(repeating: "p", count: 97))
    let error = try #require(throws: MachineError.self) { try configuration.validate() }
    #expect(
      error.description.hasSuffix("the path has 1 to 96 bytes, with room for a port after it")
    )
  }

  @Test func descriptorsAreWhatTheyAre() throws {
    let pair = try SocketPair()
    let stream = try NetworkLink.open(Network(.descriptors([pair.near.rawValue])))
    #expect(stream is StreamBackend)
    let file = try OwnedFileDescriptor(opening: "/dev/null", O_RDWR)
    #expect(throws: NetworkError.descriptor(file.rawValue)) {
      _ = try NetworkLink.open(Network(.descriptors([file.rawValue])))
    }
    #expect(throws: NetworkError.descriptor(999)) {
      _ = try NetworkLink.open(Network(.descriptors([999])))
    }
  }
}
