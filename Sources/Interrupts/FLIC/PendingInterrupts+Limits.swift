/// How many may be pending.
extension PendingInterrupts {
  /// Throws ``FLICError/busy`` if there is no room for `interrupt`.
  func checkRoom(
    for interrupt: FloatingInterrupt,
    _ limits: FLICConfiguration
  ) throws(FLICError) {
    switch interrupt {
    case .io: guard ioCount < limits.ioLimit else { throw .busy }
    case .virtio: guard virtioCount < limits.virtioLimit else { throw .busy }
    case .pageFaultDone: guard pageFaultCount < limits.pageFaultLimit else { throw .busy }
    case .machineCheck, .serviceSignal: break
    }
  }

  /// Throws ``FLICError/busy`` if there is no room for all of `interrupts`.
  func checkRoom(
    for interrupts: [FloatingInterrupt],
    _ limits: FLICConfiguration
  ) throws(FLICError) {
    var io = 0
    var virtio = 0
    var pageFaults = 0
    for interrupt in interrupts {
      switch interrupt {
      case .io: io += 1
      case .virtio: virtio += 1
      case .pageFaultDone: pageFaults += 1
      case .machineCheck, .serviceSignal: break
      }
    }
    guard
      io <= limits.ioLimit - ioCount,
      virtio <= limits.virtioLimit - virtioCount,
      pageFaults <= limits.pageFaultLimit - pageFaultCount
    else { throw .busy }
  }
}
