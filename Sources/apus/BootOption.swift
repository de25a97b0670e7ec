import ArgumentParser
import Machine

/// `--boot`: a boot protocol, or what the kernel's file says.
enum BootOption: String, ExpressibleByArgument, CaseIterable {
  case auto, linux, pvh, multiboot

  var bootProtocol: BootProtocol? { BootProtocol(rawValue: rawValue) }
}
