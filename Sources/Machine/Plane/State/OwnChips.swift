import Interrupts
import Platform

/// A plane whose chips are in this process.
protocol OwnChips {
  var ioAPIC: IOAPIC { get }
  var pic: PICPair { get }
  var timer: IntervalTimer { get }
}

extension OwnChips {
  var chips: InterruptState.Chips {
    var chips = InterruptState.Chips()
    // What the timer raises after it was asked is then in the controllers, and once more to come: not in neither.
    chips.timer = timer.savedState
    chips.pic = pic.state
    chips.ioAPIC = ioAPIC.state
    return chips
  }

  func restore(_ chips: InterruptState.Chips) {
    // The line of the timer is up before its level in the controllers says that it was: that is no edge.
    timer.savedState = chips.timer
    pic.state = chips.pic
    ioAPIC.state = chips.ioAPIC
  }
}

extension RoutingTable {
  /// The levels at the pins that asserted GSIs lead to.
  func levels(of asserted: Set<GSI>) -> (ioAPIC: UInt32, pic: UInt16) {
    var (ioAPIC, pic) = (UInt32(0), UInt16(0))
    for gsi in asserted {
      for case .pin(let pin) in routes[gsi] ?? [] {
        switch pin {
        case .ioAPIC(let number): ioAPIC |= 1 << UInt32(number)
        case .pic(let number): pic |= 1 << UInt16(number)
        }
      }
    }
    return (ioAPIC, pic)
  }
}
