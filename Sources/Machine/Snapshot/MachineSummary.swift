import PCI

/// What kind of machine was saved, as far as the one it is put back into must be the same.
struct MachineSummary: Equatable, Sendable {
  /// A PCI function, as the guest has found it.
  struct Function: Equatable, Sendable {
    /// Its device number.
    var slot: UInt8 = 0
    var vendorID: UInt16 = 0
    var deviceID: UInt16 = 0
    /// The sizes of its BARs together, and how many MSI-X vectors it has.
    var memory: UInt64 = 0
    var vectorCount: UInt16 = 0
    /// What messages call it.
    var name = ""
  }

  var memory: UInt64 = 0
  var processorCount: UInt32 = 1
  var mode = InterruptMode.split
  var hasSerialPort = false
  var hasDebugExit = false
  var hasTestDevice = false
  /// By device number.
  var functions: [Function] = []

  init() {}

  /// Describes the machine of `board`.
  init(_ board: Board, mode: InterruptMode) {
    let configuration = board.configuration
    memory = configuration.memory
    processorCount = UInt32(configuration.processorCount)
    self.mode = mode
    hasSerialPort = board.serial != nil
    hasDebugExit = configuration.hasDebugExit
    hasTestDevice = configuration.hasTestDevice
    functions = board.pci.functions.map { address, function in
      Function(
        slot: address.device,
        vendorID: function.configuration.vendorID,
        deviceID: function.configuration.deviceID,
        memory: function.configuration.bars.reduce(0) { $0 &+ $1.size },
        vectorCount: UInt16(clamping: function.msix?.vectorCount ?? 0),
        name: function.name
      )
    }
  }

  /// Finds whether a machine that was saved fits into one like this.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` with the first thing that differs.
  func check(_ saved: MachineSummary) throws(SnapshotError) {
    guard saved.memory == memory else {
      throw .mismatch(
        "machine with \(sizeText(saved.memory)) of memory, and --memory is \(sizeText(memory)); give it "
          + "--memory \(sizeText(saved.memory))"
      )
    }
    guard saved.processorCount == processorCount else {
      throw .mismatch(
        "machine with \(saved.processorCount) processors, and --cpus is \(processorCount); give it --cpus "
          + "\(saved.processorCount)"
      )
    }
    guard saved.mode == mode else {
      throw .mismatch(
        "machine of --irqchip \(saved.mode.rawValue), and this one is \(mode.rawValue); leave --irqchip out, "
          + "or give it \(saved.mode.rawValue)"
      )
    }
    for (option, was, has) in [
      ("--debug-exit", saved.hasDebugExit, hasDebugExit),
      ("--test-device", saved.hasTestDevice, hasTestDevice),
    ] where was != has {
      throw .mismatch(
        was
          ? "machine with \(option), and this one has it not; give it \(option)"
          : "machine without \(option), and this one has it; leave \(option) out"
      )
    }
    guard saved.hasSerialPort == hasSerialPort else {
      throw .mismatch(
        saved.hasSerialPort
          ? "machine with a serial port, and this one has --serial none; leave that out"
          : "machine without a serial port, and this one has one; give it --serial none"
      )
    }
    try checkFunctions(saved.functions)
  }

  private func checkFunctions(_ saved: [Function]) throws(SnapshotError) {
    for slot in UInt8(0)..<32 {
      let before = saved.first { $0.slot == slot }
      let now = functions.first { $0.slot == slot }
      switch (before, now) {
      case (nil, nil): continue
      case (let before?, nil):
        throw .mismatch(
          "machine with \(before.name) (\(before.identity)) as PCI device \(slot), where this one has none; "
            + "give it the same devices, in the same order or with slot=\(slot)"
        )
      case (nil, let now?):
        throw .mismatch(
          "machine with no PCI device \(slot), where this one has \(now.name) (\(now.identity)); take that away"
        )
      case (let before?, let now?):
        guard before.vendorID == now.vendorID, before.deviceID == now.deviceID else {
          throw .mismatch(
            "machine with \(before.name) (\(before.identity)) as PCI device \(slot), where this one has "
              + "\(now.name) (\(now.identity)); give it the same devices, in the same order or with slot="
          )
        }
        guard before.memory == now.memory, before.vectorCount == now.vectorCount else {
          throw .mismatch(
            "machine whose PCI device \(slot), \(before.name), has \(before.vectorCount) interrupt vectors, "
              + "and \(now.name) of this one has \(now.vectorCount); give it as many queues or ports as it had"
          )
        }
      }
    }
  }
}

extension MachineSummary.Function {
  /// `1af4:1042`.
  var identity: String {
    [vendorID, deviceID].map { number in
      let text = String(number, radix: 16)
      return String(repeating: "0", count: 4 - text.count) + text
    }.joined(separator: ":")
  }
}

extension MachineSummary {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&memory)
    try coder.number(&processorCount)
    guard (1...UInt32(MachineConfiguration.processorLimit)).contains(processorCount) else {
      throw .invalid(field: "processor count", value: UInt64(processorCount))
    }
    try mode.code(&coder)
    try coder.flag(&hasSerialPort, "serial port")
    try coder.flag(&hasDebugExit, "debug exit")
    try coder.flag(&hasTestDevice, "test device")
    var count = functions.count
    try coder.count(&count, "function count", limit: 32)
    if coder.isReading { functions = Array(repeating: Function(), count: count) }
    for index in functions.indices {
      try coder.number(&functions[index].slot)
      try coder.number(&functions[index].vendorID)
      try coder.number(&functions[index].deviceID)
      try coder.number(&functions[index].memory)
      try coder.number(&functions[index].vectorCount)
      try coder.text(&functions[index].name, "function name", limit: 256)
    }
  }
}
