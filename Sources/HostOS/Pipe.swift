import CLinux
import Glibc

/// A pipe, close-on-exec (pipe(2)): what is written to one end is read from the other.
public struct Pipe: ~Copyable {
  /// The end to read from.
  public var reading: OwnedFileDescriptor?
  /// The end to write to; the reader finds the end of the file when all of its copies are closed.
  public var writing: OwnedFileDescriptor?

  /// Makes a pipe.
  public init() throws(SystemError) {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    var span = numbers.mutableSpan
    _ = try retrying("pipe2") {
      // SAFETY: the call writes two descriptors into room for two.
      unsafe span.withUnsafeMutableBufferPointer { unsafe apus_pipe($0.baseAddress) }
    }
    reading = OwnedFileDescriptor(adopting: numbers[0])
    writing = OwnedFileDescriptor(adopting: numbers[1])
  }
}
