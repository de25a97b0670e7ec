import ArgumentParser
import DeviceKit
import HostOS
import Machine
import Virtio

/// `apus serve disk`: a virtio disk.
struct ServeDisk: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disk",
    abstract: "Serve a disk."
  )

  @Argument(
    help: ArgumentHelp("The disk, as for apus run --disk.", valueName: "disk"),
    completion: .file(),
    transform: DiskOption.init(parsing:)
  )
  var disk: DiskOption

  @Option(
    help: ArgumentHelp(
      "How many queues a front end may use, 1 to 64; unused ones cost nothing, but with NBD each has a "
        + "connection. 64 if not given, 1 with NBD or for a proxy, which has one interrupt.",
      valueName: "n"
    )
  )
  var queues: Int?

  @Option(
    help: ArgumentHelp(
      "How many threads serve the queues, 1 to as many as there are queues; not more than there are "
        + "processors if not given.",
      valueName: "n"
    )
  )
  var threads: Int?

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    let isServer = if case .nbd = disk.disk.source { true } else { false }
    let queues = queues ?? (isServer || !options.isForFrontEnd ? 1 : Block.queueLimit)
    guard (1...64).contains(queues) else {
      throw UserError(message: "--queues \(queues): a disk has 1 to 64 queues")
    }
    guard (1...queues).contains(threads ?? queues) else {
      throw UserError(
        message: "--threads \(threads ?? 0): \(queues) queues are served by 1 to \(queues) threads"
      )
    }
    guard disk.disk.address == nil else {
      throw UserError(message: "\(disk.disk.path): slot and address are the front end's to choose")
    }
    guard disk.disk.queueCount == nil else {
      throw UserError(message: "\(disk.disk.path),queues=…: say --queues instead")
    }
    var disk = disk.disk
    disk.queueCount = queues
    let threads = threads ?? min(queues, HostProcessors.count)
    let plan = Self.plan(disk)
    let isForFrontEnd = options.isForFrontEnd
    try options.serve(plan) { [disk] in
      try disk.open()
    } make: { [disk] source in
      let workers = try (0..<threads).map { number throws(SystemError) in
        try QueueThread("disk.\(number)", polling: .adaptive)
      }
      var choices = try disk.options(queueCount: queues)
      // Front ends make queues of 128 if not told otherwise, and no request may have more buffers.
      if isForFrontEnd { choices.queueSize = 128 }
      return Block(
        source,
        name: disk.name ?? "disk",
        options: choices,
        threads: workers
      )
    } lookAgain: {
      $0.resize(logging: $1)
    }
  }

  private static func plan(_ disk: MachineConfiguration.Disk) -> SandboxPlan {
    let name = disk.name ?? "disk"
    guard case .nbd(let address) = disk.source else {
      var plan = SandboxPlan(.file, device: name)
      // What is done in a ring is on no list.
      if disk.engine == .calls {
        plan.systemCalls?.removeAll { $0.name.hasPrefix("io_uring_") }
      } else {
        // Each queue has its own.
        plan.ringCount = disk.queueCount ?? 1
        plan.ringCapacity = Block.requestLimit
      }
      return plan
    }
    var plan = SandboxPlan(
      .client,
      device: name,
      makesUnixSockets: address.path == nil && address.isLocal
    )
    if let path = address.path {
      plan.connectOnly(to: path)
    } else {
      plan.landlock.readablePaths += address.keyPaths
      // And that of name servers, for answers that are long.
      if let port = address.port { plan.landlock.ports = [port, 53] }
    }
    return plan
  }
}
