// Fuzzes the interrupt plane of a machine whose controllers are all in this process: any access of a guest to any
// controller, and any change of lines, routes and time. What must hold then is in Plane+Checks.swift.
import CFuzzer
import FuzzSupport

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    let plane = Plane(&script)
    while !script.isAtEnd { plane.step(&script) }
    plane.quiesce()
    plane.interruptAfresh()
    plane.takeDown()
    return 0
  }
}
