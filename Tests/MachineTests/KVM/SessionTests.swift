import Glibc
import HostOS
import KVM
import Synchronization
import TestSupport
import Testing

@testable import Machine

/// Whole runs, from a kernel's file to the outcome.
@Suite(KVMDevice.required, .serialized) struct SessionTests {
  /// A configuration whose kernel is `code`, entered as PVH in 32-bit protected mode.
  static func configuration(_ code: [UInt8], in folder: TemporaryFolder) throws
    -> MachineConfiguration
  {
    var image = Images.elf64()
    // The entry is 0x20 bytes into the segment, which begins at 256 in the file.
    image.put(code, at: 256 + 0x20)
    var configuration = MachineConfiguration(kernel: try folder.file("kernel", image.bytes))
    configuration.memory = 64 << 20
    configuration.serial = .none
    return configuration
  }

  /// Runs on a thread of its own, as signals are blocked in it.
  static func run(_ configuration: MachineConfiguration) throws -> Result<Outcome, any Error> {
    let result = Shared()
    let thread = try Thread("machine") {
      let outcome = Result { try Machine.run(configuration) }
      result.value.withLock { $0 = outcome }
    }
    thread.join()
    return try #require(result.value.withLock { $0 })
  }

  final class Shared: Sendable {
    let value = Mutex<Result<Outcome, any Error>?>(nil)
  }

  @Test(
    arguments: [
      (TinyCode.powerOff, .powerOff), (TinyCode.reset, .reset),
      (TinyCode.tripleFault, .tripleFault),
    ] as [([UInt8], Outcome)]
  )
  func aRunEndsAsItsGuestDoes(code: [UInt8], outcome: Outcome) throws {
    let folder = try TemporaryFolder()
    let configuration = try Self.configuration(code, in: folder)
    #expect(try Self.run(configuration).get() == outcome)
  }

  /// The last byte is sent right before the machine is turned off.
  @Test func theClientOfTheSerialPortGetsAllThatTheGuestSaid() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "serial")
    var configuration = try Self.configuration(TinyCode.serialEcho, in: folder)
    configuration.serial = .unix(path)
    let machine = configuration
    let result = Shared()
    let thread = try Thread("machine") {
      let outcome = Result { try Machine.run(machine) }
      result.value.withLock { $0 = outcome }
    }

    let client = try UnixClient(path)
    try client.send([UInt8(ascii: "A")])
    let answer = try client.receive(1)
    thread.join()

    #expect(answer == [UInt8(ascii: "B")])
    #expect(try result.value.withLock { try $0?.get() } == .powerOff)
  }

  @Test func aKernelThatIsNotThereIsTheUsersError() throws {
    var configuration = MachineConfiguration(kernel: "/nonexistent/kernel")
    configuration.serial = .none
    let result = try Self.run(configuration)
    guard case .failure(let error) = result else {
      Issue.record("\(result)")
      return
    }
    #expect(Machine.isUserError(error))
  }

  // The following run in a process of their own: they use its terminal, its signals or its idleness.

  @Test func aMachineThatHaltsForGoodEndsWithinSeconds() async {
    await #expect(processExitsWith: .exitCode(8)) {
      let folder = try TemporaryFolder()
      let start = ContinuousClock.now
      let outcome = try Machine.run(
        SessionTests.configuration(TinyCode.haltForGood, in: folder)
      )
      exit(ContinuousClock.now - start < .seconds(8) ? outcome.exitCode : 1)
    }
  }

  /// Control-A x, typed at once: before the guest runs, or when it does.
  @Test func theEscapeKeysEndTheRun() async {
    await #expect(processExitsWith: .success) {
      let master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
      var locked: Int32 = 0
      var number: Int32 = 0
      // TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h, which are no plain constants in C.
      guard ioctl(master, 0x4004_5431, &locked) == 0, ioctl(master, 0x8004_5430, &number) == 0
      else { exit(2) }
      let slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
      guard dup2(slave, STDIN_FILENO) == STDIN_FILENO else { exit(3) }
      var before = termios()
      tcgetattr(slave, &before)

      let folder = try TemporaryFolder()
      var configuration = try SessionTests.configuration(TinyCode.idle, in: folder)
      configuration.serial = .standard
      try Signals.installWakeUpHandler(for: Session.kickSignal)
      let session = try Session(configuration)
      try FileIO.writeAll(master, [1, UInt8(ascii: "x")])
      let outcome = try session.runOnce()
      session.close()

      var after = termios()
      tcgetattr(slave, &after)
      exit(outcome == .stopped && before.c_lflag == after.c_lflag ? 0 : 4)
    }
  }

  /// The guest has not enabled its power button, so there is nothing to wait for.
  @Test func aSignalEndsARunWhosePowerButtonIsNotUsed() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let configuration = try SessionTests.configuration(TinyCode.idle, in: folder)
      try Signals.installWakeUpHandler(for: Session.kickSignal)
      let session = try Session(configuration)
      pthread_kill(pthread_self(), SIGTERM)
      let outcome = try session.runOnce()
      session.close()
      exit(outcome == .stopped ? 0 : 1)
    }
  }
}
