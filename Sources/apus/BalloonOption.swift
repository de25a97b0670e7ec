import ArgumentParser
import Machine
import Virtio

/// `--balloon size=SIZE[,reporting=off][,deflate-on-oom=off][,slot=N]`, in any order.
struct BalloonOption: ExpressibleByArgument {
  let balloon: MachineConfiguration.Balloon

  init?(argument: String) {
    guard let option = try? Self(parsing: argument) else { return nil }
    self = option
  }

  /// Reads the option's text.
  init(parsing argument: String) throws(OptionFailure) {
    var balloon = MachineConfiguration.Balloon()
    for (name, value) in OptionParts("," + argument).rest {
      switch (name, value) {
      case ("size", let value?):
        guard let size = ByteSize(argument: value) else {
          throw OptionFailure("size=\(value) is no size; such as size=512M")
        }
        balloon.size = size.bytes
      case ("reporting", let value?):
        balloon.options.reportsFreePages = try Self.isOn(name, value)
      case ("deflate-on-oom", let value?):
        balloon.options.deflatesOnOOM = try Self.isOn(name, value)
      case ("slot", let value?), ("address", let value?):
        guard let number = OptionParts.number(value) else {
          throw OptionFailure("\(name)=\(value) is no number; such as \(name)=5")
        }
        balloon.address = number
      default:
        throw .unknown(
          name,
          value,
          known: "size, reporting, deflate-on-oom and slot, each with a value"
        )
      }
    }
    self.balloon = balloon
  }

  private static func isOn(_ name: String, _ text: String) throws(OptionFailure) -> Bool {
    switch text {
    case "on": true
    case "off": false
    default: throw OptionFailure("\(name)=\(text): on or off")
    }
  }
}
