extension SnapshotSection {
  /// Reads one value out of it, to its last byte.
  ///
  /// - Throws: ``SnapshotError/invalid(offset:section:reason:)``.
  func decode(
    _ body: (inout StateCoder) throws(InterruptStateError) -> Void
  ) throws(SnapshotError) {
    var coder = StateCoder(reading: bytes[...])
    do throws(InterruptStateError) {
      try body(&coder)
      guard coder.remaining == 0 else {
        throw .invalid(field: "bytes after its end:", value: UInt64(coder.remaining))
      }
    } catch {
      throw invalid(error)
    }
  }

  /// What is wrong in it, as an error of the file.
  func invalid(_ error: InterruptStateError) -> SnapshotError {
    let reason =
      switch error {
      case .invalid(let field, let value): "\(field) \(hex(value)), which cannot be"
      case .device(let reason): "a device's state that cannot be: \(reason)"
      default: "\(error)"
      }
    return .invalid(offset: offset, section: name.rawValue, reason: reason)
  }
}

extension StateCoder {
  /// The bytes that `body` writes.
  static func bytes(
    _ body: (inout StateCoder) throws(InterruptStateError) -> Void
  ) -> [UInt8] {
    var coder = StateCoder()
    // Only reading fails.
    do throws(InterruptStateError) {
      try body(&coder)
    } catch {
      preconditionFailure("a state that cannot be written: \(error)")
    }
    return coder.bytes
  }
}
