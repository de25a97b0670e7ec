import Platform

// The fields of the platform's section, in their order.

extension PlatformState {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.optional(&clock, "clock")
    try powerManagement.code(&coder)
    var isThere = serial != nil
    try coder.flag(&isThere, "serial port")
    if isThere {
      var state = serial ?? SerialState()
      try state.code(&coder)
      serial = state
    }
    try realTimeClock.code(&coder)
    try keyboard.code(&coder)
    try coder.number(&resetRegister)
    try coder.number(&configurationAddress)
    isThere = test != nil
    try coder.flag(&isThere, "test device")
    if isThere {
      var state = test ?? TestDevice.SavedState()
      try state.code(&coder)
      test = state
    }
    try coder.number(&firmwareItem)
    try coder.number(&firmwarePosition)
  }
}

extension ACPIPowerManagement.SavedState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&status)
    try coder.number(&enabled)
    try coder.number(&control)
    try coder.number(&elapsed)
    try coder.number(&seenHalves)
  }
}

extension SerialState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&interruptEnable)
    try coder.number(&fifoControl)
    try coder.number(&lineControl)
    try coder.number(&modemControl)
    try coder.number(&modemChanges)
    try coder.number(&scratch)
    try coder.number(&divisor)
    try coder.flag(&hasOverrun, "serial overrun")
    try coder.flag(&hasEmptied, "empty transmitter")
    try coder.flag(&hasTimedOut, "serial timeout")
    var count = received.count
    try coder.count(&count, "received bytes", limit: Self.depth)
    if coder.isReading { received = Array(repeating: Received(), count: count) }
    for index in received.indices {
      try coder.number(&received[index].byte)
      try coder.number(&received[index].errors)
    }
    try coder.bytes(&transmitted, "transmitted bytes", limit: Self.depth)
  }
}

extension CMOSState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&index)
    try coder.number(&a)
    try coder.number(&b)
    try coder.number(&c)
    try coder.numbers(&memory, count: Self.memorySize)
    try coder.number(&offset)
    guard (-Self.offsetLimit...Self.offsetLimit).contains(offset) else {
      throw .invalid(field: "clock offset", value: UInt64(bitPattern: offset))
    }
    try coder.number(&weekdayOffset)
  }
}

extension KeyboardController.SavedState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&status)
    try coder.number(&output)
    try coder.number(&awaited)
    try coder.number(&configuration)
    try coder.number(&outputPort)
  }
}

extension TestDevice.SavedState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.numbers(&ports, count: 16)
    try coder.bytes(&memory, "test memory", limit: TestDevice.echoMemory.count)
    try coder.number(&lines)
  }
}
