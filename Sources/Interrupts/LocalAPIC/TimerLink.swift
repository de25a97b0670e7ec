/// Leads from a timer to its local APIC, for as long as that has an owner.
///
/// A weak reference would do the same, but make every other use of the local APIC slower.
final class TimerLink: Sendable {
  private let target = PlaneLock<LocalAPIC?>(nil)

  var apic: LocalAPIC? {
    get { target.withLock { $0 } }
    set {
      // What goes does so with no lock held.
      let old = target.withLock { target in
        let old = target
        target = newValue
        return old
      }
      _ = consume old
    }
  }
}
