import ArgumentParser
import HostOS
import Machine

/// `apus serve entropy`: a virtio entropy source.
struct ServeEntropy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "entropy",
    abstract: "Serve random bytes of the host's kernel."
  )

  @Option(
    help: ArgumentHelp(
      "Random bytes that the guest may take a second: R[/BURST], such as 64K/4K.",
      valueName: "rate"
    )
  )
  var rate: RateOption?

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    let rate = rate?.rate
    try options.serve(SandboxPlan(.memory, device: "entropy")) {
    } make: {
      try ServedEntropy.make(rate)
    }
  }
}
