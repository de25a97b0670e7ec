import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI
import TestSupport
import Virtio

@testable import Machine
@testable import RemoteDevice

/// A device of a process that is kept running, as a function with its driver.
class SupervisedFunctionRig: @unchecked Sendable {
  // Sendable: one thread of the test uses it.
  private static var bar: UInt64 { 0xE000_0000 }

  let log = RecordedLog()
  let memory: GuestMemory
  let process: DeviceSupervisor
  let function: any RemotePCIFunction
  let doorbells = FakeDoorbells()
  let messages = FakeMessageInterrupts()
  let driver: MockDriver
  private let state: GuestMemory
  private let remote: VfioUserRemote

  /// Starts `apus serve` with these arguments.
  init(
    _ name: String,
    _ arguments: [String],
    descriptors: [Int32] = [],
    policy: RestartPolicy? = nil,
    dma: DMAMode = .shared
  ) throws {
    memory = try GuestMemory(count: 4 << 20)
    state = try GuestMemory(count: VirtioStateFile.byteCount)
    // However soon it is killed.
    var patient = RestartPolicy()
    patient.wellAfter = 0
    process = try DeviceSupervisor(
      name,
      DeviceProgram(
        try Given.binary(),
        ["apus", "serve"] + arguments + ["--vfio-user", "fd:3", "--state", "fd:4"]
          + (dma == .window ? ["--no-packed-rings"] : []),
        descriptors: [state.file.borrow { $0.rawValue } ?? -1] + descriptors
      ),
      policy: policy ?? patient,
      logger: log.makeLogger()
    )
    var options = VfioUserRemote.Options(source: process, name: name, takesOver: true)
    options.dma = dma
    remote = try VfioUserRemote(options, logger: log.makeLogger())
    let function = try remote.makeFunction(
      RemoteWiring(
        memory: memory,
        line: RecordingResampledLine(),
        messages: messages,
        doorbells: doorbells
      )
    )
    self.function = function
    function.writeConfiguration(0x6, 0x04, width: 2)
    function.barDidMove(0, to: Self.bar)
    let transport = PCIDriverTransport(
      read: { function.readBAR(BusAccess(region: 0, offset: $0, width: $1)) },
      write: { function.writeBAR($0, BusAccess(region: 0, offset: $1, width: $2)) }
    )
    transport.vector = 1
    driver = MockDriver(transport, in: memory, from: GuestAddress(0x10000))
  }

  /// Notifies a queue as a guest's store does that the kernel catches.
  func ring(_ queue: UInt64) {
    doorbells.ring(address: Self.bar + PCIDriverTransport.notification + 4 * queue, width: 2)
  }

  /// Enables MSI-X with a message for each vector.
  func enableMSIX() throws {
    guard let msix = function.msix else { return }
    for vector in 0..<UInt64(msix.vectorCount) {
      msix.write(0xFEE0_0000, msix.tableOffset + 16 * vector, width: 8)
      msix.write(0x40 + vector, msix.tableOffset + 16 * vector + 8, width: 8)
    }
    var link = Int(function.readConfiguration(0x34, width: 1))
    while link != 0, function.readConfiguration(link, width: 1) != 0x11 {
      link = Int(function.readConfiguration(link + 1, width: 1))
    }
    function.writeConfiguration(0x8000, link + 2, width: 2)
    function.followConfiguration()
  }

  /// Kills the process, and waits until another one has taken over; `body` is done again and again meanwhile.
  func kill(_ body: () throws -> Void) throws {
    let before = takeovers
    let isRunning = waitUntil { if case .running = process.phase { true } else { false } }
    guard isRunning else { throw MockDriver.Failure.timeout }
    process.signal(SIGKILL)
    let isTaken = try waitUntil {
      try body()
      return takeovers > before
    }
    guard isTaken else { throw MockDriver.Failure.timeout }
  }

  private var takeovers: Int {
    log.notices.count { $0.contains("another process has taken over") }
  }
}

/// A disk of such a process.
final class SupervisedDiskRig: SupervisedFunctionRig, @unchecked Sendable {
  // Sendable: as its base.
  let folder: TemporaryFolder
  let path: String

  init(_ policy: RestartPolicy? = nil, dma: DMAMode = .shared) throws {
    folder = try TemporaryFolder()
    path = try folder.file("disk", DiskLoad.content)
    let disk = MachineConfiguration.Disk(path: path)
    let arguments = disk.serveArguments(name: "disk0", queueCount: 1)
    try super.init("disk0", arguments, policy: policy, dma: dma)
  }
}
