import ArgumentParser
import DeviceKit
import HostOS
import Machine
import Virtio

/// `apus serve balloon`: a virtio memory balloon.
struct ServeBalloon: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "balloon",
    abstract: "Serve a memory balloon."
  )

  @Argument(
    help: ArgumentHelp("The balloon, as for apus run --balloon.", valueName: "balloon"),
    transform: BalloonOption.init(parsing:)
  )
  var balloon: BalloonOption

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    let balloon = balloon.balloon
    guard balloon.address == nil else {
      throw UserError(message: "--balloon: slot and address are the front end's to choose")
    }
    guard !options.isForFrontEnd else {
      throw UserError(
        message:
          "--vhost-user: front ends of that protocol know no balloon; say --vfio-user or --mpqemu"
      )
    }
    try options.serve(SandboxPlan(.balloon, device: "balloon")) {
    } make: {
      try Balloon(target: balloon.size, options: balloon.options, name: "balloon")
    } report: {
      DeviceReport.text(of: $0)
    }
  }
}
