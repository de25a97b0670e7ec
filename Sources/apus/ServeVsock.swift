import ArgumentParser
import DeviceKit
import HostOS
import Machine
import RemoteDevice
import Virtio

/// `apus serve vsock`: sockets between a guest and this host.
struct ServeVsock: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vsock",
    abstract: "Serve sockets between guest and host."
  )

  @Argument(
    help: ArgumentHelp("cid=N,path=PATH, as in apus run --vsock.", valueName: "sockets")
  )
  var sockets: VsockOption

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    let vsock = sockets.vsock
    guard vsock.address == nil else {
      throw UserError(message: "cid=\(vsock.cid): slot and address are the front end's to choose")
    }
    var plan = SandboxPlan(.memory, device: "vsock")
    plan.reachableSockets = [.numbered(vsock.path)]
    try options.serve(plan) {
      try ServedVsock.open(vsock)
    } make: { sockets in
      try Vsock(sockets, guestCID: vsock.cid, name: "vsock")
    }
  }
}
