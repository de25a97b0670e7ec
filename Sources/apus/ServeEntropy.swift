import ArgumentParser
import HostOS
import Virtio

/// `apus serve entropy`: a virtio entropy source.
struct ServeEntropy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "entropy",
    abstract: "Serve random bytes of the host's kernel."
  )

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    try options.serve(.memory, "entropy", open: {}, make: { Entropy(name: "entropy") })
  }
}
