import Glibc
import HostOS
import TestSupport
import Testing

@Suite struct StoppingTests {
  @Test(.enabled(if: TinyKernel.hasKVM, "/dev/kvm cannot be opened"), .timeLimit(.minutes(10)))
  func aGuestThatAnswersSIGTERMWithAResetIsNotRestarted() throws {
    let folder = try TemporaryFolder()
    let kernel = try folder.file("kernel", TinyKernel.file(TinyKernel.resettingAtPowerButton))
    let pair = try SocketPair()
    var child = try ChildProcess(
      TinyKernel.program,
      [
        "apus", "run", "--accel", "kvm", "--on-reset", "restart", "--memory", "64M",
        "--log-level", "critical", kernel,
      ],
      environment: [],
      descriptors: [0, pair.far.rawValue, 2]
    )
    let sign = try FileIO.read(pair.near.rawValue, atMost: 1)
    child.signal(SIGTERM)

    #expect(sign == [UInt8(ascii: "R")])
    #expect(child.wait() == .exited(0))
  }
}
