import ArgumentParser
import DeviceKit
import EmulatedHost
import Glibc

/// `apus emulated-host-agent`: what an emulated host runs; of no use elsewhere.
struct Agent: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emulated-host-agent",
    abstract: "Run inside an emulated host.",
    shouldDisplay: false
  )

  mutating func run() throws {
    guard getpid() != 1, unsafe access("/dev/virtio-ports/apus.control", F_OK) == 0 else {
      throw UserError(message: "emulated-host-agent: only an emulated host starts this command")
    }
    try EmulatedHostAgent.run { request in
      do {
        guard var command = try Apus.parseAsRoot(request.arguments) as? Run else { return 2 }
        command.moveInside()
        try command.run()
        return 0
      } catch {
        return Apus.report(error)
      }
    }
  }
}
