import GuestMemory
import KVM

/// All of a machine but its RAM, as it was saved; a value.
struct MachineSnapshot: Equatable, Sendable {
  var summary = MachineSummary()
  var interrupts = InterruptState(mode: .split)
  var platform = PlatformState()
  /// By device number.
  var functions: [FunctionState] = []
  var processors: [ProcessorState] = []

  init() {}

  /// Writes it; RAM and the end come after.
  func write(to writer: inout SnapshotWriter) throws {
    var copy = self
    try writer.write(
      .machine,
      StateCoder.bytes { (coder) throws(InterruptStateError) in try copy.summary.code(&coder) }
    )
    try writer.write(.interrupts, interrupts.bytes)
    try writer.write(
      .platform,
      StateCoder.bytes { (coder) throws(InterruptStateError) in try copy.platform.code(&coder) }
    )
    for index in copy.functions.indices {
      try writer.write(
        .function,
        number: UInt32(copy.functions[index].slot),
        StateCoder.bytes { (coder) throws(InterruptStateError) in
          try copy.functions[index].code(&coder)
        }
      )
      // What is longer than one section is may have as many as it takes.
      var rest = (copy.functions[index].bytes ?? [])[...]
      while !rest.isEmpty {
        let piece = Array(rest.prefix(FunctionState.pieceSize))
        rest = rest.dropFirst(piece.count)
        try writer.write(.function, number: UInt32(copy.functions[index].slot), piece)
      }
    }
    for index in copy.processors.indices {
      try writer.write(
        .processor,
        number: UInt32(index),
        StateCoder.bytes { (coder) throws(InterruptStateError) in
          try copy.processors[index].code(&coder)
        }
      )
    }
  }

  /// Reads what ``write(to:)`` has written, up to the first section of RAM.
  ///
  /// - Throws: ``SnapshotError``, `SystemError`.
  init(from reader: SnapshotReader) throws {
    summary = try Self.summary(from: reader)
    interrupts = try Self.interrupts(from: reader)
    let section = try reader.read(.platform, number: 0)
    var platform = PlatformState()
    try section.decode { (coder) throws(InterruptStateError) in try platform.code(&coder) }
    self.platform = platform
    for function in summary.functions {
      let section = try reader.read(.function, number: UInt32(function.slot))
      var state = FunctionState(slot: function.slot)
      try section.decode { (coder) throws(InterruptStateError) in try state.code(&coder) }
      var left = state.byteCount
      while left > 0 {
        let piece = try reader.read(.function, number: UInt32(function.slot))
        guard piece.bytes.count == min(left, FunctionState.pieceSize) else {
          throw piece.invalid(
            .invalid(field: "a piece's length of", value: UInt64(piece.bytes.count))
          )
        }
        state.bytes?.append(contentsOf: piece.bytes)
        left -= piece.bytes.count
      }
      functions.append(state)
    }
    for number in 0..<summary.processorCount {
      let section = try reader.read(.processor, number: number)
      var state = ProcessorState()
      try section.decode { (coder) throws(InterruptStateError) in try state.code(&coder) }
      processors.append(state)
    }
  }

  /// Reads the first section.
  static func summary(from reader: SnapshotReader) throws -> MachineSummary {
    let section = try reader.read(.machine, number: 0)
    var summary = MachineSummary()
    try section.decode { (coder) throws(InterruptStateError) in try summary.code(&coder) }
    return summary
  }

  /// Reads the second section.
  static func interrupts(from reader: SnapshotReader) throws -> InterruptState {
    let section = try reader.read(.interrupts, number: 0)
    do throws(InterruptStateError) {
      return try InterruptState(bytes: section.bytes)
    } catch {
      throw section.invalid(error)
    }
  }
}
