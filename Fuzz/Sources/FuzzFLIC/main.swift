// Fuzzes the floating interrupt controller's interface, both generations, with buffers of any length and content. A call
// that fails must have changed nothing, what is pending must add up, and what is saved must be what is restored.
import CFuzzer
import FuzzSupport

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    var subject = Subject(&script)
    while !script.isAtEnd { subject.step(&script) }
    subject.drain()
    return 0
  }
}
