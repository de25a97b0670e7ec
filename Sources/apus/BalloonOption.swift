import ArgumentParser
import Machine
import Virtio

/// `--balloon size=SIZE[,reporting=off][,deflate-on-oom=off][,slot=N]`, in any order.
struct BalloonOption: ExpressibleByArgument {
  let balloon: MachineConfiguration.Balloon

  init?(argument: String) {
    var balloon = MachineConfiguration.Balloon()
    for (name, value) in OptionParts("," + argument).rest {
      switch (name, value) {
      case ("size", let value?):
        guard let size = ByteSize(argument: value) else { return nil }
        balloon.size = size.bytes
      case ("reporting", let value?):
        guard let isOn = Self.isOn(value) else { return nil }
        balloon.options.reportsFreePages = isOn
      case ("deflate-on-oom", let value?):
        guard let isOn = Self.isOn(value) else { return nil }
        balloon.options.deflatesOnOOM = isOn
      case ("slot", let value?), ("address", let value?):
        guard let number = OptionParts.number(value) else { return nil }
        balloon.address = number
      default: return nil
      }
    }
    self.balloon = balloon
  }

  private static func isOn(_ text: String) -> Bool? {
    switch text {
    case "on": true
    case "off": false
    default: nil
    }
  }
}
