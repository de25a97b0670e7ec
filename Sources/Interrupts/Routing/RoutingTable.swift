/// Where every GSI leads; a GSI that is not in it leads nowhere.
public struct RoutingTable: Equatable, Sendable {
  /// The routes by GSI.
  public var routes: [GSI: [InterruptRoute]]

  /// How many GSIs there can be, from 0 on: as many as KVM's table of routes has entries on x86.
  public static var gsiCount: UInt32 { 4096 }

  /// Describes a table.
  public init(_ routes: [GSI: [InterruptRoute]] = [:]) { self.routes = routes }

  /// How the pins are wired on a PC with an I/O APIC and two 8259s: IRQ 0 is on pin 2 of the I/O APIC
  /// (as the MADT says, ACPI 6.5, 5.2.12.5), and IRQ 2 is where the second 8259 is attached to the first.
  public static var pc: Self {
    var table = Self()
    for gsi in 0..<24 where gsi != 2 {
      var routes: [InterruptRoute] = [.pin(.ioAPIC(gsi == 0 ? 2 : gsi))]
      if gsi < 16 { routes.append(.pin(.pic(gsi))) }
      table.routes[GSI(UInt32(gsi))] = routes
    }
    return table
  }

  /// Finds what is wrong with the table, by the rules of KVM's (api.rst, 4.52): a GSI leads to each
  /// controller once at most, and to one message and nothing else if to a message.
  package func validate() throws(InterruptError) {
    for (gsi, routes) in routes {
      guard gsi.rawValue < Self.gsiCount else { throw .noSuchGSI(gsi) }
      var (ioAPIC, pic, messages) = (0, 0, 0)
      for route in routes {
        switch route {
        case .pin(.ioAPIC(let pin)):
          ioAPIC += 1
          guard (0..<24).contains(pin) else {
            throw .invalid("\(gsi) leads to pin \(pin) of the I/O APIC; it has pins 0 to 23")
          }
        case .pin(.pic(let pin)):
          pic += 1
          guard (0..<16).contains(pin) else {
            throw .invalid("\(gsi) leads to pin \(pin) of the 8259s; they have pins 0 to 15")
          }
        case .message: messages += 1
        }
      }
      guard ioAPIC <= 1, pic <= 1, messages == 0 || routes.count == 1 else {
        throw .invalid(
          "\(gsi) has \(routes.count) routes; give it a pin of each controller, or one message"
        )
      }
    }
  }
}
