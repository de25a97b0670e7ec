import DeviceModel
import FuzzSupport
import Interrupts
import Platform

/// All controllers of a machine with three processors, wired up as `--irqchip user` does, and beside them what
/// the levels must be; for one thread.
final class Plane: @unchecked Sendable {
  // Sendable: a fuzz target has one thread.
  /// A device at a line, and the level it believes in.
  final class Device: @unchecked Sendable {
    let source: InterruptSource
    var isAsserted = false
    var isBound = false
    /// Whether it raises its line again as soon as it hears of an end.
    var insists = false
    var notifications = 0

    init(_ source: InterruptSource) { self.source = source }
  }

  static let processorCount = 3

  let clock = ScriptedClock()
  let apics: LocalAPICs
  let router: InterruptRouter
  let ioAPIC: IOAPIC
  let pic: PICPair
  let timer: IntervalTimer
  let timerSource: InterruptSource
  var devices: [Device] = []
  var routes = RoutingTable.pc
  /// Whether a state was put back that no guest could have brought about.
  var hasForeignState = false

  init(_ script: inout Script) {
    let choices = script.byte()
    var options = LocalAPICOptions()
    options.hasCMCI = choices & 1 != 0
    options.hasX2APIC = choices & 2 == 0
    options.suppressesEOIBroadcast = choices & 4 == 0
    apics = LocalAPICs(count: Self.processorCount, clock: clock, options: options)
    router = InterruptRouter(messages: apics)
    ioAPIC = IOAPIC(id: 0, levels: router.ioAPICLevels, messages: apics, acknowledgement: router)
    pic = PICPair(levels: router.picLevels, acknowledgement: router)
    guard let source = try? router.makeSource(of: GSI(0)) else { fail("GSI 0") }
    timerSource = source
    timer = IntervalTimer(line: source, clock: clock)
    router.connect(ioAPIC: ioAPIC, pic: pic)
    set(routes)
    apics.connect(endOfInterrupt: ioAPIC, external: pic)
    pic.whenOutputChanges { [unowned apics, unowned pic] _ in
      apics.setExternalRequest(pic.isRequesting)
    }
    if choices & 8 != 0 {
      ioAPIC.whenRedirectionChanges { [unowned ioAPIC] in _ = ioAPIC.messages }
    }
    if choices & 16 == 0 { for index in 0..<apics.count { apics[index].enterVirtualWireMode() } }
    if choices & 32 == 0 { shareLine() }
  }

  /// Programs an entry of the redirection table.
  func redirect(pin: UInt64, _ low: UInt64, _ high: UInt64 = 0) {
    for (register, value) in [(0x11 + 2 * pin, high), (0x10 + 2 * pin, low)] {
      ioAPIC.write(register, BusAccess(offset: 0, width: 4))
      ioAPIC.write(value, BusAccess(offset: 0x10, width: 4))
    }
  }

  /// Three devices at pin 20, which is level-triggered and leads to processor 0; two of them hear of ends.
  func shareLine() {
    redirect(pin: 20, 0x8041)
    for index in 0..<3 {
      add(GSI(20))
      bind(devices[devices.count - 1], index != 1)
    }
  }

  func takeDown() {
    devices = []
    router.disconnect()
    apics.disconnect()
    require(router.report.allSatisfy { !$0.isAsserted }, "a line outlives its sources")
  }

  /// Replaces all routes; if they are refused, they are as before.
  func set(_ table: RoutingTable) {
    do {
      try router.setRoutes(table)
      routes = table
      routes.routes = routes.routes.filter { !$0.value.isEmpty }
    } catch {
      require(router.routes == routes, "\(error), and other routes")
    }
  }

  /// Replaces the routes of one GSI; if they are refused, they are as before.
  func set(_ list: [InterruptRoute], of gsi: GSI) {
    do {
      try router.setRoutes(of: gsi, list)
      routes.routes[gsi] = list.isEmpty ? nil : list
    } catch {
      require(router.routes == routes, "\(error), and other routes")
    }
  }

  func add(_ gsi: GSI) {
    guard let source = try? router.makeSource(of: gsi) else {
      return require(gsi.rawValue >= RoutingTable.gsiCount, "\(gsi) has no source")
    }
    devices.append(Device(source))
  }

  func bind(_ device: Device, _ isBound: Bool) {
    device.isBound = isBound
    let notifier: @Sendable () -> Void = { [unowned device] in
      require(device.isBound && device.isAsserted, "an end that is nobody's")
      require(device.source.isAsserted == false, "asserted at its end")
      device.notifications += 1
      device.isAsserted = device.insists
      if device.insists { device.source.assert() }
    }
    do { try device.source.bind(isBound ? notifier : nil) } catch {
      fail("\(error)")
    }
  }
}
