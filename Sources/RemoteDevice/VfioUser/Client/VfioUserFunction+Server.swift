import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Logging
import PCI
import Synchronization
import Virtio

/// What comes from the server's end, on the thread of its reader.
extension VfioUserFunction {
  /// Hands the board to a server.
  ///
  /// - Throws: ``VfioUserError``; the connection is to be ended.
  func start(_ connection: VfioUserLink, isFirst: Bool) throws(VfioUserError) {
    let deadline = connection.deadline
    guard let memory = memory.withLock({ $0 }) else { return }
    try setup.withLock { (setup) throws(VfioUserError) in
      guard !setup.isStopped else { return }
      if remote.takesOver, setup.owesReset, shape.canReset {
        try connection.tell(.reset, deadline: deadline)
      }
      setup.owesReset = false
      try share(memory, connection, deadline)
      let bells = try bells(connection, deadline)
      doorbells.set(bells)
      areas.set(try memoryAreas(connection, deadline))
      setup.connection = connection
      let choice = registers.choice
      try setup.interrupts.choose(choice, connection, deadline)
      noteEnds(setup)
      // What the one before had under way it takes up, and ends, first: a state has nothing under way.
      if setup.isPaused { try connection.change(to: .stop) }
      let isSetUp = isFirst || remote.takesOver && !setup.hasFailed
      setup.hasFailed = false
      let new: Presence = isSetUp ? .present : .returned
      presence.store(new.rawValue, ordering: .releasing)
      logger.debug("\(name): the server has the guest's memory")
      guard remote.takesOver, !isFirst else { return }
      // What was signalled to or by the one before may have reached nobody.
      for bell in bells { bell.event.signal() }
      registers.signalVectors()
    }
  }

  /// A server is gone that another takes over from: everything stays as the guest has set it up.
  func awaitAnother() {
    setup.withLock { setup in
      setup.connection = nil
      setup.interrupts.forget()
      noteEnds(setup)
    }
  }

  /// Nobody has taken over: the function is gone, as one that was pulled out.
  ///
  /// - Returns: Whether it is; not if somebody has taken over at the last moment.
  @discardableResult
  func fail() -> Bool {
    setup.withLock { setup in
      guard setup.connection == nil else { return false }
      presence.store(Presence.gone.rawValue, ordering: .releasing)
      setup.hasFailed = true
      // What the guest did meanwhile has reached nobody.
      setup.owesReset = true
      registers.reset()
      // The guest gives its queues up, too.
      window?.reset()
      return true
    }
  }

  /// Forgets a server that is gone.
  func lose() {
    presence.store(Presence.gone.rawValue, ordering: .releasing)
    setup.withLock { setup in
      setup.connection = nil
      setup.interrupts.forget()
      noteEnds(setup)
      doorbells.set([])
      areas.set([])
      registers.reset()
      window?.reset()
    }
  }

  /// Gives the server the guest's memory, or says only where it is.
  private func share(
    _ memory: GuestMemory,
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    guard let file = memory.file.borrow({ $0.rawValue }) else {
      preconditionFailure("guest memory without a file")
    }
    let isMapped = remote.dma == .shared
    for region in memory.regions {
      let map = VfioUserDMAMap(
        flags: VfioUserDMAMap.readFlag | VfioUserDMAMap.writeFlag,
        offset: isMapped ? region.fileOffset : 0,
        address: region.start.rawValue,
        size: region.count
      )
      try connection.tell(
        .mapDMA(map, hasDescriptor: isMapped),
        descriptors: isMapped ? [file] : [],
        deadline: deadline
      )
    }
  }
}
