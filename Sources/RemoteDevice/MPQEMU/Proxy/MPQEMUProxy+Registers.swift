public import DeviceModel
import PCI

/// The guest's accesses, as far as the remote is to hear of them.
extension MPQEMUProxy {
  private static func ones(_ width: Int) -> UInt64 { .max >> UInt64(64 - 8 * width) }

  // MARK: Configuration

  /// Reads the remote's register; ones if it has failed, and beyond a conventional function's last.
  public func readConfiguration(_ offset: Int, width: Int) -> UInt32 {
    let ones = UInt32(truncatingIfNeeded: Self.ones(width))
    guard offset + width <= Register.end else { return ones }
    publishOnce()
    // A ROM cannot be read by messages, so the guest finds none.
    guard !isExpansionROM(offset) else { return 0 }
    let isLast = offset > Register.last
    let access =
      isLast
      ? MPQEMUConfigurationAccess(Register.last, width: 4)
      : MPQEMUConfigurationAccess(offset, width: width)
    guard let answer = try? link.ask(.readConfiguration(access)) else { return ones }
    let value = UInt32(truncatingIfNeeded: answer) >> UInt32(isLast ? 8 * (offset & 3) : 0) & ones
    return withOwnPin(withOwnHeaderType(value, offset, width), offset, width)
  }

  /// Writes the register here and at the remote, as one step.
  public func writeConfiguration(_ value: UInt32, _ offset: Int, width: Int) {
    guard offset + width <= Register.end, !isExpansionROM(offset) else { return }
    publishOnce()
    let isLast = offset > Register.last
    let ones = UInt32(truncatingIfNeeded: Self.ones(width))
    var word = value & ones
    if isLast {
      guard let old = try? link.ask(.readConfiguration(.init(Register.last, width: 4))) else {
        return
      }
      let shift = UInt32(8 * (offset & 3))
      word = UInt32(truncatingIfNeeded: old) & ~(ones << shift) | word << shift
    }
    let access = MPQEMUConfigurationAccess(
      isLast ? Register.last : offset,
      width: isLast ? 4 : width,
      value: word
    )
    let isTold = try? link.ask {
      // In the order in which the remote hears of it: what decodes here does so there.
      configuration.write(value, offset, width: width)
      return .writeConfiguration(access)
    }
    // The bus goes by what is here, remote or not.
    if isTold == nil { configuration.write(value, offset, width: width) }
  }

  private func isExpansionROM(_ offset: Int) -> Bool {
    offset >= Register.expansionROM && offset < Register.expansionROM + 4
  }

  /// A device of several functions is one of this machine's, and not of the remote's.
  private func withOwnHeaderType(_ value: UInt32, _ offset: Int, _ width: Int) -> UInt32 {
    let place = Register.headerType - offset
    guard place >= 0, place < width else { return value }
    let bit: UInt32 = 0x80 << UInt32(8 * place)
    return configuration.isMultifunction ? value | bit : value & ~bit
  }

  /// The remote's pin is wired as INTA# is, whichever it is there.
  private func withOwnPin(_ value: UInt32, _ offset: Int, _ width: Int) -> UInt32 {
    let place = Register.interruptPin - offset
    guard place >= 0, place < width else { return value }
    let shift = UInt32(8 * place)
    let own = configuration.read(Register.interruptPin, width: 1)
    return value & ~(0xFF << shift) | own << shift
  }

  // MARK: BARs

  /// Reads the remote's register; ones if it has failed.
  public func readBAR(_ access: BusAccess) -> UInt64 {
    var value: UInt64 = 0
    for (offset, width, shift) in parts(of: access) {
      let answer = try? link.ask { place(access.region, offset, width).map { .readBAR($0) } }
      let part = (answer ?? nil) ?? .max
      value |= (part & Self.ones(width)) << shift
    }
    return value
  }

  /// Writes the remote's register.
  public func writeBAR(_ value: UInt64, _ access: BusAccess) {
    for (offset, width, shift) in parts(of: access) {
      let part = value >> shift & Self.ones(width)
      _ = try? link.ask {
        place(access.region, offset, width).map { place in
          .writeBAR(
            MPQEMUBARAccess(
              address: place.address,
              value: part,
              width: place.width,
              isMemory: place.isMemory
            )
          )
        }
      }
    }
  }

  /// The accesses that one of the guest's is made of: none is wider than the protocol's four bytes, or one byte in
  /// the generation of 2020.
  private func parts(
    of access: BusAccess
  ) -> [(offset: UInt64, width: Int, shift: UInt64)] {
    let step = min(access.width, link.remote.generation == .v8 ? 1 : 4)
    return stride(from: 0, to: access.width, by: step).map {
      (access.offset &+ UInt64($0), step, UInt64(8 * $0))
    }
  }

  /// Where a part of a BAR is in the remote's spaces; `nil` if nothing answers there, for which QEMU's remote
  /// would end.
  private func place(_ index: Int, _ offset: UInt64, _ width: Int) -> MPQEMUBARAccess? {
    guard let bar = configuration.bars.first(where: { $0.index == index }),
      offset < bar.size, UInt64(width) <= bar.size - offset,
      let start = configuration.placement(of: bar)
    else { return nil }
    return MPQEMUBARAccess(
      address: start &+ offset,
      width: UInt32(width),
      isMemory: bar.space == .memory
    )
  }
}
