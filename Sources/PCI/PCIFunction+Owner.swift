/// What whoever owns a function does to it: a bus of the machine, or the server of a device process.
extension PCIFunction {
  /// Reads configuration registers; those beyond the last byte read as ones.
  ///
  /// - Parameters:
  ///   - offset: The first byte, not negative.
  ///   - width: 1 to 8 bytes, aligned or not.
  /// - Returns: The registers, in the low `8 * width` bits.
  package func readRegisters(_ offset: Int, width: Int) -> UInt64 {
    msi?.prepareRead(offset, width: width)
    var value: UInt64 = 0
    var done = 0
    while done < width {
      let step = step(offset &+ done, width - done)
      let part =
        offset &+ done < PCIConfigurationSpace.size
        ? UInt64(readConfiguration(offset &+ done, width: step)) : .max
      value |= (part & UInt64.max >> UInt64(64 - 8 * step)) << UInt64(8 * done)
      done += step
    }
    return value
  }

  /// Writes configuration registers; those beyond the last byte are dropped.
  ///
  /// - Parameters:
  ///   - value: What the guest wrote, in the low `8 * width` bits.
  ///   - offset: The first byte, not negative.
  ///   - width: 1 to 8 bytes, aligned or not.
  package func writeRegisters(_ value: UInt64, _ offset: Int, width: Int) {
    var done = 0
    while done < width, offset &+ done < PCIConfigurationSpace.size {
      let step = step(offset &+ done, width - done)
      let part = UInt32(truncatingIfNeeded: value >> UInt64(8 * done))
      writeConfiguration(
        part & UInt32.max >> UInt32(32 - 8 * step),
        offset &+ done,
        width: step
      )
      done += step
    }
  }

  /// Lets the vectors and the pin follow what was written to the configuration.
  package func followConfiguration() {
    msix?.update()
    msi?.update()
    interruptPin?.update()
  }

  /// Resets the function with all that its owner keeps for it.
  package func resetWhole() {
    reset()
    configuration.reset()
    msix?.reset()
    msi?.reset()
    interruptPin?.deassert()
  }

  /// The widest register access at `offset` that is aligned and within `left` bytes.
  private func step(_ offset: Int, _ left: Int) -> Int {
    if left >= 4, offset % 4 == 0 { return 4 }
    return left >= 2 && offset % 2 == 0 ? 2 : 1
  }
}
