import DeviceModel
import Glibc
import HostOS
import Interrupts
import KVM
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Machine

/// What comes of routes that the kernel refuses; no guest runs.
@Suite(KVMDevice.required, .serialized) struct SplitPlaneTests {
  /// A kernel's table that can be made to refuse.
  private final class Table: Sendable {
    let isFull = Atomic(false)
    let failures = Mutex<[String]>([])

    func makePlane(_ vm: VM) throws -> SplitPlane {
      try SplitPlane(
        vm,
        clock: HostClock(),
        commit: { [self] (routes) throws(KVMError) in
          guard !isFull.load(ordering: .relaxed) else {
            throw .system(SystemError(call: "KVM_SET_GSI_ROUTING", code: ENOMEM))
          }
          try vm.setGSIRouting(routes)
        },
        whenRoutesFail: { [self] reason in failures.withLock { $0.append(reason) } }
      )
    }
  }

  private func write(_ entry: UInt32, pin: UInt64, to plane: SplitPlane) {
    plane.ioAPIC.write(0x10 + 2 * pin, BusAccess(region: 0, offset: 0, width: 4))
    plane.ioAPIC.write(UInt64(entry), BusAccess(region: 0, offset: 0x10, width: 4))
  }

  /// A line whose end nobody would hear of ends the run, in one line with the call.
  @Test func aPinWhoseRouteIsRefusedEndsTheRun() throws {
    let table = Table()
    let plane = try table.makePlane(try KVMSystem().makeVM())
    write(0x8041, pin: 17, to: plane)
    #expect(table.failures.withLock { $0 } == [])

    table.isFull.store(true, ordering: .relaxed)
    write(0x8042, pin: 17, to: plane)

    let failures = table.failures.withLock { $0 }
    #expect(failures.count == 1)
    #expect(failures.first?.contains("KVM_SET_GSI_ROUTING") == true)
    #expect(failures.first?.contains("--irqchip kernel") == true)
    #expect(failures.first?.contains("\n") == false)
  }

  /// What changes no message asks nothing of the kernel.
  @Test func aMaskIsNoNewRoute() throws {
    let table = Table()
    let plane = try table.makePlane(try KVMSystem().makeVM())
    write(0x8041, pin: 17, to: plane)
    table.isFull.store(true, ordering: .relaxed)
    write(0x1_8041, pin: 17, to: plane)
    write(0x8041, pin: 17, to: plane)
    #expect(table.failures.withLock { $0 } == [])
  }
}
