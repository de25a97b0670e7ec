/// What the user asks to be started.
public struct BootRequest: Equatable, Sendable {
  /// The path of the kernel.
  public var kernel: String
  /// The initrd's path, or several whose archives Linux unpacks one after the other.
  ///
  /// For Multiboot these are modules, each a path and, after a space, its arguments.
  public var initialFiles: [String]
  /// The kernel's command line.
  public var commandLine: String
  /// The protocol to use; `nil` to find out from the kernel.
  public var bootProtocol: BootProtocol?

  /// Asks for `kernel` to be started.
  public init(
    kernel: String,
    initialFiles: [String] = [],
    commandLine: String = "",
    bootProtocol: BootProtocol? = nil
  ) {
    self.kernel = kernel
    self.initialFiles = initialFiles
    self.commandLine = commandLine
    self.bootProtocol = bootProtocol
  }

  /// Splits a list of files at its commas; two commas stand for one that is part of a name.
  public static func files(in list: String) -> [String] {
    var parts: [String] = [""]
    var rest = Substring(list)
    while let character = rest.popFirst() {
      if character != "," {
        parts[parts.count - 1].append(character)
      } else if rest.first == "," {
        rest.removeFirst()
        parts[parts.count - 1].append(",")
      } else {
        parts.append("")
      }
    }
    return parts
  }
}
