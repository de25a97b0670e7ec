import CLinux
import CSeccomp
import Glibc

/// A list of system calls that the kernel holds a thread to (seccomp(2)).
///
/// Whatever is not on the list raises `SIGSYS`, and what comes by the gates of another architecture (32-bit, x32) kills.
@safe
public struct SystemCallFilter: ~Copyable {
  private let filter: OpaquePointer

  /// Compiles `rules`.
  ///
  /// - Throws: ``SystemError``, `ENOENT` for a call that nobody knows by that name.
  public init(_ rules: [SystemCallRule]) throws(SystemError) {
    unsafe filter = try Self.compile(rules)
  }

  deinit { unsafe apus_seccomp_destroy(filter) }

  private static func compile(_ rules: [SystemCallRule]) throws(SystemError) -> OpaquePointer {
    var made: OpaquePointer?
    let code = unsafe apus_seccomp_create(&made)
    guard code == 0, let filter = unsafe made else {
      throw SystemError(call: "seccomp_init", code: -code)
    }
    for rule in rules {
      let code = unsafe add(rule, to: filter)
      guard code != 0 else { continue }
      unsafe apus_seccomp_destroy(filter)
      throw SystemError(call: "seccomp_rule_add", code: -code, subject: rule.name)
    }
    return unsafe filter
  }

  @unsafe
  private static func add(_ rule: SystemCallRule, to filter: OpaquePointer) -> Int32 {
    let tests = rule.tests.map {
      apus_seccomp_test(argument: $0.argument, mask: $0.mask, value: $0.value)
    }
    // SAFETY: the name and the tests live for the length of the call.
    return unsafe tests.withUnsafeBufferPointer { tests in
      unsafe apus_seccomp_add(
        filter,
        rule.name,
        rule.failure ?? 0,
        tests.baseAddress,
        UInt32(tests.count)
      )
    }
  }

  /// Holds the calling thread to the list, and those that it starts, for as long as they live.
  ///
  /// From then on a refused call writes one line to standard error, which names the call and `device`, and ends the process with
  /// ``refusalCode``. To be called by the only thread.
  public borrowing func load(device: String) throws(SystemError) {
    var code = unsafe apus_seccomp_report_refusals(
      "apus: error: \(device): the sandbox refused the system call ",
      "; the process ends",
      Self.refusalCode
    )
    guard code == 0 else { throw SystemError(call: "sigaction", code: -code, subject: "SIGSYS") }
    code = unsafe apus_seccomp_load(filter)
    guard code == 0 else { throw SystemError(call: "seccomp", code: -code) }
  }

  /// The exit code of a process that made a call which is not on its list.
  public static var refusalCode: Int32 { 14 }
}
