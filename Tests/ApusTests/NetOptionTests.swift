import Machine
import RemoteDevice
import Testing
import Virtio

@testable import apus

@Suite struct NetOptionTests {
  @Test(
    arguments: [
      ("tap=tap0", .tap("tap0")), ("unix:/run/net", .unix("/run/net", isServer: false)),
      ("unix:a,,b,server", .unix("a,b", isServer: true)), ("fd=3", .descriptors([3])),
      ("fd=3:5:4", .descriptors([3, 5, 4])),
    ] as [(String, MachineConfiguration.Network.Link)]
  )
  func linksHaveThreeForms(text: String, link: MachineConfiguration.Network.Link) {
    #expect(NetOption(argument: text)?.network == MachineConfiguration.Network(link))
  }

  @Test func theRestComesInAnyOrder() throws {
    let option = try #require(
      NetOption(
        argument: "tap=tap0,mtu=9000,queues=4,slot=0x5,mac=52:54:00:AB:cd:ef,"
          + "rx-bytes=100M/1M,tx-packets=5K"
      )
    )
    var expected = MachineConfiguration.Network(.tap("tap0"))
    expected.mtu = 9000
    expected.queuePairs = 4
    expected.address = 5
    expected.macAddress = MACAddress(0x5254_00AB_CDEF)
    expected.receiveLimit.bytes = RateLimit.Rate(perSecond: 100 << 20, burst: 1 << 20)
    expected.sendLimit.operations = RateLimit.Rate(perSecond: 5120)
    #expect(option.network == expected)
  }

  @Test func aPortHasANameAndAHostsEnd() {
    #expect(
      PortOption(argument: "org.qemu.guest_agent.0=unix:/a=b")?.port
        == .init(name: "org.qemu.guest_agent.0", stream: .unix("/a=b"))
    )
    #expect(PortOption(argument: "a=pipe:p")?.port.stream == .pipe("p"))
  }

  @Test(arguments: ["", "a", "unix:p", "a=", "a=none", "a=pipe:", "a=tcp:1"])
  func refusesWhatIsNoPort(text: String) {
    #expect(PortOption(argument: text) == nil)
  }

  @Test func aBalloonHasASizeAndMore() {
    #expect(BalloonOption(argument: "size=64M")?.balloon == .init(size: 64 << 20))
    let options = Balloon.Options(deflatesOnOOM: false, reportsFreePages: false)
    #expect(
      BalloonOption(argument: "reporting=off,size=0,deflate-on-oom=off,slot=9")?.balloon
        == .init(options: options, address: 9)
    )
  }

  @Test(arguments: ["", "64M", "size=", "size=x", "size=1,reporting=maybe", "size=1,bogus"])
  func refusesWhatIsNoBalloon(text: String) {
    #expect(BalloonOption(argument: text) == nil)
  }

  @Test func devicesOfOtherProcessesHaveAKindAndASocket() {
    let disk = MachineConfiguration.Remote(.vhostUser(.block), socket: "/run/a,b", address: 7)
    #expect(DeviceOption(argument: "vhost-user-blk,slot=7,socket=/run/a,,b")?.remote == disk)
    let net = MachineConfiguration.Remote(
      .vhostUser(.network),
      socket: "n",
      macAddress: MACAddress(0x5254_00AB_CDEF)
    )
    #expect(
      DeviceOption(argument: "vhost-user-net,socket=n,mac=52:54:00:ab:cd:ef")?.remote == net
    )
    let function = MachineConfiguration.Remote(.vfioUser, socket: "f", address: 3)
    #expect(DeviceOption(argument: "vfio-user,socket=f,slot=3")?.remote == function)
    let listening = MachineConfiguration.Remote(
      .mpqemu(MPQEMURemote(.socket("r"), generation: .v8)),
      socket: "r"
    )
    #expect(DeviceOption(argument: "mpqemu,socket=r,generation=v8")?.remote == listening)
    let started = DeviceOption(argument: "mpqemu,slot=5,exec=qemu -device a,id=b -c {fd}")?.remote
    #expect(started?.kind == .mpqemu(MPQEMURemote(.command("qemu -device a,id=b -c {fd}"))))
    #expect(started?.address == 5)
    #expect(started?.text == "--device mpqemu,exec=qemu -device a,id=b -c {fd}")
  }

  @Test(arguments: [
    "", "vhost-user-blk", "vhost-user-blk,socket=", "vhost-user-fs,socket=a", "socket=a",
    "vhost-user-blk,socket=a,mac=52:54:00:ab:cd:ef",
    "vhost-user-net,socket=a,mac=01:54:00:ab:cd:ef",
    "vhost-user-blk,socket=a,bogus", "vfio-user", "vfio-user,socket=a,mac=52:54:00:ab:cd:ef",
    "mpqemu", "mpqemu,socket=", "mpqemu,exec=", "mpqemu,socket=a,exec=b", "mpqemu,generation=v8",
    "mpqemu,socket=a,generation=v7", "mpqemu,socket=a,mac=52:54:00:ab:cd:ef",
    "vhost-user-blk,exec=a", "vfio-user,socket=a,generation=v8",
  ])
  func refusesWhatIsNoDevice(text: String) {
    #expect(DeviceOption(argument: text) == nil)
  }

  @Test func socketsHaveAContextAndAPath() {
    let expected = MachineConfiguration.Vsock(cid: 3, path: "/run/a,b", address: 7)
    #expect(VsockOption(argument: "path=/run/a,,b,slot=7,cid=3")?.vsock == expected)
  }

  @Test(arguments: [
    "", "cid=3", "path=a", "cid=x,path=a", "cid=3,path=", "cid=3,path=a,bogus", "3",
  ])
  func refusesWhatIsNoSocket(text: String) {
    #expect(VsockOption(argument: text) == nil)
  }

  @Test(arguments: [
    "", "tap", "unix:", "fd=", "fd=x", "fd=3:", "fd=-1", "vde:/x", "tap=a,server", "tap=a,mtu=x",
    "tap=a,mtu=70000", "tap=a,mac=52:54", "tap=a,mac=52:54:00:12:34:5g", "tap=a,queues=",
    "tap=a,bogus", "tap=a,rx-bytes=0", "tap=a,rx-bytes=1/", "tap=a,rx-bytes=1/2/3",
  ])
  func refusesWhatIsNoNetwork(text: String) {
    #expect(NetOption(argument: text) == nil)
  }
}
