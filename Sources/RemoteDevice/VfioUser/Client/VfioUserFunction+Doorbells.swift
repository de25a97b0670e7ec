import DeviceModel
import HostOS
import PCI

/// Doorbells that a server offers.
extension VfioUserFunction {
  // As many as descriptors come with one message.
  private static var bellLimit: Int { DescriptorBatch.capacity }

  /// Asks for the doorbells of all BARs.
  ///
  /// - Throws: ``VfioUserError``; a server that has none may say so in any way.
  func bells(
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> [VfioUserDoorbells.Bell] {
    var bells: [VfioUserDoorbells.Bell] = []
    for bar in shape.bars {
      do throws(VfioUserError) {
        bells += try self.bells(bar, connection, deadline)
      } catch {
        guard case .refused = error else { throw error }
      }
    }
    return bells
  }

  private func bells(
    _ bar: PCIBAR,
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> [VfioUserDoorbells.Bell] {
    let question = VfioUserRegionIOFDs(
      argumentSize: UInt32(VfioUserRegionIOFDs.count(parts: Self.bellLimit)),
      index: UInt32(bar.index)
    )
    var answer = try connection.ask(.getRegionIOFDs(question), deadline: deadline)
    guard case .regionIOFDs(let parts) = answer.reply, parts.index == question.index else {
      throw connection.end(.badValue(.getRegionIOFDs, "another region than \(bar.index)"))
    }
    guard parts.parts.count <= Self.bellLimit else {
      throw connection.end(.badValue(.getRegionIOFDs, "\(parts.parts.count) parts"))
    }
    var events: [EventFD] = []
    while let descriptor = answer.descriptors.takeFirst() {
      let kind = try connection.kind(of: descriptor.rawValue)
      let event = EventFD(adopting: descriptor)
      guard kind == .anonymous, event.canBeDrained else {
        throw connection.end(.wrongDescriptor(.getRegionIOFDs, kind, expected: "an eventfd"))
      }
      events.append(event)
    }
    let size = shape.sizes[bar.index] ?? 0
    var bells: [VfioUserDoorbells.Bell] = []
    // Kinds that we do not know are no doorbells: the guest's accesses go to the server.
    for part in parts.parts where part.type == VfioUserRegionIOFDs.Part.ioEvent {
      guard [0, 1, 2, 4, 8].contains(part.size), part.offset < size,
        max(part.size, 1) <= size - part.offset
      else {
        throw connection.end(
          .badValue(
            .getRegionIOFDs,
            "\(part.size) bytes at \(part.offset) of BAR \(bar.index) of \(size)"
          )
        )
      }
      let matches = part.flags & VfioUserRegionIOFDs.Part.dataMatchFlag != 0
      bells.append(
        VfioUserDoorbells.Bell(
          bar: bar.index,
          offset: part.offset,
          width: Int(part.size),
          value: matches && part.size > 0 ? part.dataMatch : nil,
          event: events[Int(part.descriptor)]
        )
      )
    }
    return bells
  }
}
