import Glibc

/// Hands `body` the process's arguments as C has them, and ends the process with what it returns.
public func runFuzzer(
  _ body: (
    UnsafeMutablePointer<CInt>,
    UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>
  ) -> CInt
) -> Never {
  var count = CommandLine.argc
  var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
  exit(body(&count, &arguments))
}
