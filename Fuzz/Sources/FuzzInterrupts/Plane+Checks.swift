import DeviceModel
import FuzzSupport
import Interrupts

/// What must hold, whatever was done.
extension Plane {
  /// After each step.
  func check() {
    let (ioAPICLevels, picLevels) = expectedLevels
    require(router.ioAPICLevels.all == ioAPICLevels, "levels at the I/O APIC")
    require(router.picLevels.all == picLevels, "levels at the 8259s")
    for device in devices {
      require(device.source.isAsserted == device.isAsserted, "\(device.source.gsi)")
    }
    // One for each local APIC, and the interval timer's.
    require(clock.armedCount <= Self.processorCount + 1, "\(clock.armedCount) timers")
    for index in 0..<apics.count { check(apics[index]) }
  }

  private func check(_ apic: LocalAPIC) {
    let state = apic.state
    require(state.requested[0] & 0xFFFF == 0, "a vector below 16 in IRR")
    require(state.inService[0] & 0xFFFF == 0, "a vector below 16 in ISR")
    guard !hasForeignState else { return }
    // What interrupts has a higher class than what it interrupts.
    let classes = state.inServiceVectors.map { $0 >> 4 }
    require(Set(classes).count == classes.count, "in service: \(state.inServiceVectors)")
  }

  /// The OR of what leads to each pin.
  private var expectedLevels: (ioAPIC: UInt32, pic: UInt32) {
    var levels: (ioAPIC: UInt32, pic: UInt32) = (0, 0)
    var asserted = Set(devices.filter(\.isAsserted).map(\.source.gsi))
    if timerSource.isAsserted { asserted.insert(timerSource.gsi) }
    for gsi in asserted {
      for route in routes.routes[gsi] ?? [] {
        switch route {
        case .pin(.ioAPIC(let pin)): levels.ioAPIC |= 1 << UInt32(pin)
        case .pin(.pic(let pin)): levels.pic |= 1 << UInt32(pin)
        case .message: break
        }
      }
    }
    return levels
  }

  /// Acknowledges as a processor does.
  @discardableResult
  func acknowledge(_ apic: LocalAPIC) -> UInt8? {
    let before = apic.state
    let hadInterrupt = apic.hasInterrupt
    guard let vector = apic.acknowledgeInterrupt() else {
      require(!hadInterrupt || before.isExternalPending, "an interrupt was lost")
      return nil
    }
    require(hadInterrupt, "vector \(vector) from nowhere")
    let after = apic.state
    // The 8259s' vectors pass a local APIC by.
    guard after.inService != before.inService else { return vector }
    require(vector == before.requestedVectors.last, "not the highest: \(vector)")
    require(vector >> 4 > before.taskPriority >> 4, "below the task's priority: \(vector)")
    require(vector >> 4 > (before.inServiceVectors.last ?? 0) >> 4, "nested: \(vector)")
    require(after.inServiceVectors.contains(vector), "not in service: \(vector)")
    require(!after.requestedVectors.contains(vector), "still requested: \(vector)")
    return vector
  }

  /// Ends the most urgent interrupt as software does.
  func end(_ apic: LocalAPIC) {
    let before = apic.state
    let notifications = devices.map(\.notifications)
    let vector = before.inServiceVectors.last
    let bound = vector.map { endedDevices(by: $0, before) } ?? []
    let isX2APIC = before.base & 1 << 10 != 0
    if isX2APIC {
      try? apic.writeMSR(0x80B, 0)
    } else {
      apic.write(0, BusAccess(offset: 0xB0, width: 4))
    }
    guard before.base & 1 << 11 != 0, let vector else { return }
    let expected = before.inServiceVectors.dropLast()
    require(apic.state.inServiceVectors == Array(expected), "\(vector) is not ended")
    for (index, device) in devices.enumerated() {
      let count = device.notifications - notifications[index]
      let isBound = bound.contains { $0 === device }
      require(count == (isBound ? 1 : 0), "\(count) ends of \(device.source.gsi)")
    }
  }

  /// The devices whose interrupt `vector` is, and that are to hear of its end.
  private func endedDevices(by vector: UInt8, _ state: LocalAPIC.State) -> [Device] {
    guard state.levelTriggeredVectors.contains(vector), state.spurious & 1 << 12 == 0 else {
      return []
    }
    let pins = ioAPIC.pins.enumerated().filter { _, pin in
      pin.entry.remoteIRR && pin.entry.vector == vector
    }
    let routes = pins.map { InterruptRoute.pin(.ioAPIC($0.offset)) }
    return devices.filter { device in
      let own = self.routes.routes[device.source.gsi] ?? []
      return device.isBound && device.isAsserted && own.contains { routes.contains($0) }
    }
  }

  // MARK: The end

  /// Lets all lines fall and ends all interrupts: nothing more may come then.
  func quiesce() {
    for device in devices {
      device.insists = false
      device.isAsserted = false
      device.source.deassert()
    }
    // A new control word stops the counter (8254, "mode definitions").
    timer.write(0x30, BusAccess(offset: 3, width: 1))
    timerSource.deassert()
    for index in 0..<apics.count { settle(apics[index]) }
    check()
    require(router.ioAPICLevels.all == 0 && router.picLevels.all == 0, "levels remain")
    for index in 0..<apics.count {
      let apic = apics[index]
      apic.taskPriority = 0
      // IRR and ISR have 240 vectors each; the latched external interrupt and its line are the rest.
      var rest = 2 * 256 + 16
      while apic.hasInterrupt || !apic.state.inServiceVectors.isEmpty {
        require(rest > 0, "interrupts do not end: \(apic.state) \(pic.state)")
        rest -= 1
        acknowledge(apic)
        end(apic)
      }
    }
    require(!pic.isRequesting, "the 8259s request what has gone: \(pic.state)")
    require(clock.armedCount == 0, "\(clock.armedCount) timers are armed")
    advance(1_000_000_000)
    for index in 0..<apics.count {
      require(!apics[index].hasInterrupt, "an interrupt out of nothing")
    }
  }

  /// Masks the timer, and has LINT0 take the 8259s' interrupts: as an active-low level it would never end.
  private func settle(_ apic: LocalAPIC) {
    for (register, value) in [(0x32, 1 << 16), (0x35, 0x700)] as [(UInt64, UInt64)] {
      if apic.base & 1 << 10 != 0 {
        try? apic.writeMSR(0x800 + UInt32(register), value)
      } else {
        apic.write(value, BusAccess(offset: register << 4, width: 4))
      }
    }
  }

  /// A guest that sets all up anew finds level interrupts as they should be: taken, ended, and told of once.
  func interruptAfresh() {
    devices = []
    for index in 0..<apics.count { apics[index].reset() }
    apics[0].enterVirtualWireMode()
    // As an edge, for what was in service to end.
    for pin in 0..<UInt64(24) { redirect(pin: pin, 1 << 16) }
    set(.pc)
    shareLine()
    for asserted in [[0], [0, 1, 2], [2, 0], [1]] {
      for index in asserted {
        devices[index].isAsserted = true
        devices[index].source.assert()
      }
      check()
      // The second does not end with its interrupt: that comes again until its device lets go.
      let isHeld = asserted.contains(1)
      require(acknowledge(apics[0]) == 0x41, "the interrupt does not come")
      require(!apics[0].hasInterrupt, "it comes twice")
      end(apics[0])
      check()
      require(apics[0].hasInterrupt == isHeld, "it comes again, or not")
      guard isHeld else { continue }
      devices[1].isAsserted = false
      devices[1].source.deassert()
      require(acknowledge(apics[0]) == 0x41, "what was sent is gone")
      end(apics[0])
      require(!apics[0].hasInterrupt, "it comes again")
    }
    require(devices.map(\.notifications) == [3, 0, 2], "\(devices.map(\.notifications)) ends")
  }
}
