import ArgumentParser
import DeviceKit
import HostOS
import Machine
import RemoteDevice

/// `apus serve net`: a virtio network interface.
struct ServeNet: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "net",
    abstract: "Serve a network interface."
  )

  @Argument(
    help: ArgumentHelp(
      "The network: tap=NAME, unix:PATH or fd=N, with options as in apus run --net.",
      valueName: "network"
    )
  )
  var network: NetOption

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    let network = network.network
    guard network.address == nil, network.macAddress == nil || !options.isForFrontEnd else {
      throw UserError(
        message: "\(network.text): slot, address and mac are the front end's to choose"
      )
    }
    var plan = SandboxPlan(.network, device: "net")
    if case .unix(let path, isServer: false) = network.link {
      plan.reachableSockets = [.path(path)]
    }
    // A front end has the guest's side of the device, with its commands; others have none of it.
    if options.isForFrontEnd {
      try options.serve(plan) {
        try ServedNetwork(network)
      } make: { opened in
        ServedNet(try opened.make())
      }
    } else {
      try options.serve(plan) {
        try ServedNetwork(network)
      } make: { opened in
        try opened.make()
      } report: {
        DeviceReport.text(of: $0)
      }
    }
  }
}
