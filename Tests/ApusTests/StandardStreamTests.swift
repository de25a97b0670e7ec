import HostOS
import TestSupport
import Testing

@Suite struct StandardStreamTests {
  // Else the first file to be opened becomes the standard output.
  @Test func runsWithoutStandardStreams() throws {
    let folder = try TemporaryFolder()
    let kernel = try folder.file("kernel", TinyKernel.file(TinyKernel.halting))
    var child = try ChildProcess(
      TinyKernel.program,
      ["apus", "run", "--dry-run", kernel],
      environment: [],
      descriptors: []
    )
    #expect(child.wait() == .exited(0))
  }
}
