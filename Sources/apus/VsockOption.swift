import ArgumentParser
import Machine

/// `--vsock cid=N,path=PATH[,slot=N]`, in any order; a comma in the path is written twice.
struct VsockOption: ExpressibleByArgument {
  let vsock: MachineConfiguration.Vsock

  init?(argument: String) {
    var (cid, path, address): (UInt64?, String?, UInt64?)
    for (name, value) in OptionParts("," + argument).rest {
      guard let value else { return nil }
      switch name {
      case "cid": cid = OptionParts.number(value)
      case "path": path = value
      case "slot", "address":
        guard let number = OptionParts.number(value) else { return nil }
        address = number
      default: return nil
      }
    }
    guard let cid, let path, !path.isEmpty else { return nil }
    vsock = MachineConfiguration.Vsock(cid: cid, path: path, address: address)
  }
}
