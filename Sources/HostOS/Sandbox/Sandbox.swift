import CLinux
import Glibc

/// Shuts the rest of a process's life in: see ``SandboxPlan``.
///
/// Most of what takes rights away can be done by a process with one thread only, and some only to a new process. So a process opens
/// all that it needs, starts no thread, and calls ``split(_:)``: a copy of it goes on inside, and the process itself stays outside
/// as the copy's ``SandboxMonitor``, which removes what the copy cannot reach any more.
public enum Sandbox {
  /// Which of the two processes this is.
  public enum Side: ~Copyable {
    /// Outside: to wait for the other.
    case monitor(SandboxMonitor)
    /// Inside, with what is in force.
    case device(SandboxReport)
  }

  /// Splits the process in two, and shuts one of them in.
  ///
  /// Inside, ``Thread/perform(_:_:)`` is where to go on. A layer that the host refuses is left out, and the report says so.
  ///
  /// - Throws: ``SystemError`` if there can be no other process at all, or it cannot be shut in by any means.
  public static func split(_ plan: SandboxPlan) throws(SystemError) -> Side {
    apus_use_one_arena()
    var report = SandboxReport()
    report.attempt(.descriptors) { () throws(SystemError) in
      let count = try InheritedDescriptors.close()
      return count == 0 ? "" : "\(count) that came with the start are closed"
    }
    let listeners = try ListenerHandover()
    let identity = SandboxIdentity()
    let namespaces = plan.namespaces.offered
    var refusal: SystemError?
    for attempt in [namespaces, namespaces.subtracting(.users), []] {
      do throws(SystemError) {
        note(attempt, of: plan, refusal, in: &report)
        var pair = try SocketPair()
        if let monitor = try start(attempt, identity, &pair, listeners, plan) {
          return .monitor(monitor)
        }
        enter(plan, attempt, identity, &report)
        endWithout(monitor: pair.far.rawValue)
        if !plan.reachableSockets.isEmpty { broker(pair.far.rawValue) }
        return .device(report)
      } catch {
        // Of all attempts the first says most.
        refusal = refusal ?? error
        guard !attempt.isEmpty else { throw error }
      }
    }
    preconditionFailure("the last attempt returns or throws")
  }

  /// Starts the copy.
  ///
  /// - Returns: What watches it; `nil` in the copy, which waits until the monitor has given it its names.
  /// - Throws: ``SystemError``, in the first process only, and if there is no copy any more.
  private static func start(
    _ namespaces: SandboxNamespaces,
    _ identity: SandboxIdentity,
    _ pair: inout SocketPair,
    _ listeners: ListenerHandover,
    _ plan: SandboxPlan
  ) throws(SystemError) -> SandboxMonitor? {
    let child = try retrying("clone") { apus_clone(namespaces.rawValue) }
    if child == 0 {
      // First of all: whatever it keeps open of the monitor's would outlive that.
      do throws(SystemError) {
        pair.near = try pair.far.duplicated()
        try listeners.enter()
        if try FileIO.read(pair.far.rawValue, atMost: 1) == [1] { return nil }
      } catch {}
      // There is no monitor, or it cannot use this copy.
      _exit(0)
    }
    do throws(SystemError) {
      if namespaces.contains(.users) { try identity.map(child) }
      let monitor = try SandboxMonitor(child, pair.near.duplicated(), listeners, plan)
      // Last: what fails after this would have two devices on one connection.
      try FileIO.writeAll(pair.near.rawValue, [1])
      return monitor
    } catch {
      try? FileIO.writeAll(pair.near.rawValue, [0])
      _ = try? retrying("waitpid") { waitpid(child, nil, 0) }
      throw error
    }
  }

  /// Notes what the copy that is about to be made has.
  private static func note(
    _ namespaces: SandboxNamespaces,
    of plan: SandboxPlan,
    _ refusal: SystemError?,
    in report: inout SandboxReport
  ) {
    for (namespace, layer, _) in SandboxNamespaces.known {
      report[layer] =
        if namespaces.contains(namespace) {
          .inForce("")
        } else if !plan.namespaces.contains(namespace) {
          .notWanted(plan.reasons[layer] ?? "")
        } else {
          .refused(refusal.map { "\($0)" } ?? "the kernel was built without it")
        }
    }
  }

  /// Takes away what there is, in the only order that works: each step needs rights that a later one takes.
  private static func enter(
    _ plan: SandboxPlan,
    _ namespaces: SandboxNamespaces,
    _ identity: SandboxIdentity,
    _ report: inout SandboxReport
  ) {
    try? InheritedDescriptors.emptyStandardStreams(keepsOutput: plan.keepsOutput)
    // While there is /proc.
    report.attempt(.limits) { () throws(SystemError) in
      let applied = try plan.limits.apply(countsThreads: namespaces.contains(.users))
      try ResourceLimits.beFirstToEnd()
      return applied
    }
    if !plan.hasEmptyRoot {
      report[.root] = .notWanted(plan.reasons[.root] ?? "")
    } else if namespaces.contains(.mounts) {
      report.attempt(.root, EmptyRoot.enter)
    } else {
      report[.root] = .refused("there is no mount namespace to have it in")
    }
    if namespaces.contains(.hostName) { _ = unsafe apus_set_host_name("apus") }
    report.attempt(.capabilities) { () throws(SystemError) in
      _ = try retrying("prctl", "capabilities") { apus_lock_capabilities() }
      return ""
    }
    report.attempt(.identity) { () throws(SystemError) in
      try identity.assume(isMapped: namespaces.contains(.users))
    }
    report.attempt(.capabilities) { () throws(SystemError) in
      _ = try retrying("capset") { apus_empty_capabilities() }
      return ""
    }
    report.attempt(.privileges) { () throws(SystemError) in
      _ = try retrying("prctl", "PR_SET_NO_NEW_PRIVS") { apus_prctl(PR_SET_NO_NEW_PRIVS, 1) }
      // Nobody of the same user may look into it, or dump it.
      _ = try retrying("prctl", "PR_SET_DUMPABLE") { apus_prctl(PR_SET_DUMPABLE, 0) }
      return ""
    }
    report.attempt(.landlock, plan.landlock.apply)
    _ = apus_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL))
    guard let calls = plan.systemCalls else {
      report[.systemCalls] = .notWanted(plan.reasons[.systemCalls] ?? "")
      return
    }
    apus_watch_seal()
    let rings = IOUringPool(count: plan.ringCount, capacity: plan.ringCapacity)
    IOUringPool.install(rings)
    report.attempt(.systemCalls) { () throws(SystemError) in
      try SystemCallFilter(calls).load(device: plan.device)
      let count = Set(calls.map(\.name)).count
      return rings.count == 0 ? "\(count) of them" : "\(count) of them, and \(rings.count) rings"
    }
  }

  /// Has the copy ask its monitor for connections; without that it is of no use.
  private static func broker(_ end: Int32) {
    do throws(SystemError) {
      SocketBroker.install(try OwnedFileDescriptor(duplicating: end))
    } catch {
      _exit(4)
    }
  }

  /// Ends the copy if its monitor was gone already when the kernel was told to end them together.
  private static func endWithout(monitor end: Int32) {
    var list = PollList()
    let place = list.add(end, for: [])
    list.wait(timeout: 0)
    if list.hasHungUp(place) { _exit(0) }
  }
}
