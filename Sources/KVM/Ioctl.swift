import CLinux
import Glibc
import HostOS

/// The funnel that every ioctl but `KVM_RUN` goes through.
///
/// A call that a signal interrupts is made again; a call that fails becomes a ``KVMError`` with the
/// ioctl's name and `details`, which is made into text only then.
extension OwnedFileDescriptor {
  /// Makes a call with an integer argument.
  ///
  /// - Returns: What the call returned, not negative.
  @discardableResult
  borrowing func perform(
    _ request: KVMRequest,
    _ argument: UInt = 0,
    _ details: @autoclosure () -> String = ""
  ) throws(KVMError) -> Int32 {
    while true {
      let result = apus_kvm_ioctl(rawValue, request.number, argument)
      if result != -1 { return result }
      let code = errno
      if code != EINTR { throw request.failure(code, details()) }
    }
  }

  /// Makes a call that reads or writes `value`, one of linux/kvm.h's structures.
  @discardableResult
  borrowing func perform<Value>(
    _ request: KVMRequest,
    with value: inout Value,
    _ details: @autoclosure () -> String = ""
  ) throws(KVMError) -> Int32 {
    while true {
      // SAFETY: the kernel reads or writes the request's structure, of which `value` is one.
      let number = rawValue
      let result = unsafe withUnsafeMutableBytes(of: &value) {
        unsafe apus_kvm_ioctl_pointer(number, request.number, $0.baseAddress)
      }
      if result != -1 { return result }
      let code = errno
      if code != EINTR { throw request.failure(code, details()) }
    }
  }

  /// Makes a call that reads or writes an array of words laid out by the caller.
  @discardableResult
  borrowing func perform<Word: BitwiseCopyable>(
    _ request: KVMRequest,
    withWords words: inout [Word],
    _ details: @autoclosure () -> String = ""
  ) throws(KVMError) -> Int32 {
    while true {
      let number = rawValue
      // SAFETY: the caller made the array as long as the request's structure.
      let result = unsafe words.withUnsafeMutableBytes {
        unsafe apus_kvm_ioctl_pointer(number, request.number, $0.baseAddress)
      }
      if result != -1 { return result }
      let code = errno
      if code != EINTR { throw request.failure(code, details()) }
    }
  }
}

extension KVMRequest {
  /// The error that says that this call failed.
  func failure(_ code: Int32, _ details: String) -> KVMError {
    .ioctl(name.description, arguments: details, code: code)
  }
}
