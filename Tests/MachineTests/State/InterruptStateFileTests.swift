import Glibc
import TestSupport
import Testing

@testable import Machine

/// The file that a state is kept in.
@Suite struct InterruptStateFileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func whatIsWrittenIsRead() throws {
    var random = RandomState(seed: 1)
    let path = folder.path(of: "state")
    for state in [random.state(), random.state()] {
      try InterruptStateFile.write(state, to: path)
      #expect(try InterruptStateFile.read(path) == state)
    }
    #expect(access(ReplacedFile.temporaryPath(of: path), F_OK) != 0)
  }

  @Test func aCheckMakesNothing() throws {
    let path = folder.path(of: "state")
    try InterruptStateFile.check(path)
    #expect(access(path, F_OK) != 0)
    let old = try folder.file("old", [1, 2, 3])
    try InterruptStateFile.check(old)
    #expect(try folder.bytes(at: old) == [1, 2, 3])
    #expect(throws: MachineError.self) { try InterruptStateFile.check(folder.path) }
    #expect(throws: MachineError.self) { try InterruptStateFile.check(old + "/state") }
  }

  @Test func aStateThatCannotBeWrittenLeavesTheOneBefore() throws {
    var random = RandomState(seed: 2)
    let (first, second) = (random.state(), random.state())
    let path = folder.path(of: "state")
    try InterruptStateFile.write(first, to: path)
    // Where the new one is to be made there is something.
    let name = ReplacedFile.temporaryPath(of: path)
    let obstacle = try folder.file(String(name.dropFirst(folder.path.count + 1)), [])

    #expect(throws: (any Error).self) { try InterruptStateFile.write(second, to: path) }

    #expect(try InterruptStateFile.read(path) == first)
    #expect(access(obstacle, F_OK) == 0)
  }

  @Test func aFullDeviceIsAnErrorAndStaysADevice() {
    var random = RandomState(seed: 3)
    let state = random.state()
    #expect(throws: (any Error).self) { try InterruptStateFile.write(state, to: "/dev/full") }
    #expect(access("/dev/full", F_OK) == 0)
  }
}
