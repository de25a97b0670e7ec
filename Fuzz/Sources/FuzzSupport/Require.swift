import Glibc

/// Ends the process with what is wrong, in release mode too, unless `condition` holds.
public func require(_ condition: Bool, _ message: @autoclosure () -> String) {
  if !condition { fail(message()) }
}

/// Ends the process with what is wrong.
public func fail(_ message: String) -> Never {
  var text = "fuzz: \(message)\n"
  text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  abort()
}
