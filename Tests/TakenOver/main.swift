import Glibc
import HostOS
import TakenOverCalls

// TakenOver KIND ATTEMPT PROCESS [unfiltered]: shuts itself in as a device's process of that kind does, without the filter of
// system calls if told so, and makes the attempt. Its exit code is 0 if the attempt succeeds, else 1, after a line with the
// errno. Attempts by a ring of io_uring that it has for a disk begin with ring_. TakenOver KIND report prints which layers are in force.
let arguments = CommandLine.arguments
guard arguments.count > 2, let kind = SandboxKind(rawValue: arguments[1]) else {
  fatalError("TakenOver KIND ATTEMPT PROCESS [unfiltered]")
}
var plan = SandboxPlan(kind, device: "device")
if kind == .file { plan.ringCount = 1 }
if kind == .client { plan.landlock.ports = [10809] }
plan.keepsOutput = true
if arguments.last == "unfiltered" { plan.systemCalls = nil }
let process = arguments.count > 3 ? Int32(arguments[3]) ?? 0 : 0
switch try Sandbox.split(plan) {
case .monitor(let monitor): monitor.run(forwarding: [])
case .device(let report):
  if arguments[2] == "report" {
    try FileIO.writeAll(STDOUT_FILENO, Array(report.lines.joined(separator: "\n").utf8))
    exit(0)
  }
  let result: Int
  let code: Int32
  if arguments[2].hasPrefix("ring_") {
    result = try RingAttempt.perform(arguments[2])
    code = Int32(-result)
  } else {
    result = taken_over_try(arguments[2], process)
    code = errno
  }
  let line = result < 0 ? "failed with errno \(code)\n" : "succeeded with \(result)\n"
  try FileIO.writeAll(STDOUT_FILENO, Array(line.utf8))
  exit(result < 0 ? 1 : 0)
}
