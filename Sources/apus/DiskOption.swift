import ArgumentParser
import Machine
import Virtio

/// `--disk FILE|nbd:ADDRESS|null:SIZE`, with more after commas; a comma in the file's name is written twice.
struct DiskOption: ExpressibleByArgument {
  let disk: MachineConfiguration.Disk

  /// What is wrong with an option's text; one line.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  static var names: String {
    "readonly, direct, cache, engine, timeout, reconnect, queues, serial, id, bps, bps-burst, iops, "
      + "iops-burst, slot and address"
  }

  init?(argument: String) {
    guard let option = try? Self(parsing: argument) else { return nil }
    self = option
  }

  /// Reads the option's text.
  init(parsing text: String) throws(Failure) {
    let parts = OptionParts(text)
    disk = try Self.disk(parts)
  }

  private static func disk(_ parts: OptionParts) throws(Failure) -> MachineConfiguration.Disk {
    var disk = MachineConfiguration.Disk(try source(parts.first))
    var bursts: (bytes: UInt64?, operations: UInt64?)
    for (name, value) in parts.rest {
      switch (name, value) {
      case ("readonly", nil): disk.isReadOnly = true
      case ("direct", nil): disk.isDirect = true
      case ("cache", let value?): disk.cache = try choice(name, value)
      case ("engine", let value?): disk.engine = try choice(name, value)
      case ("timeout", let value?): disk.timeout = try count(name, value)
      case ("reconnect", let value?): disk.reconnect = try count(name, value)
      case ("queues", let value?):
        disk.queueCount = try count(name, value)
      case ("serial", let value?): disk.serial = value
      case ("id", let value?): disk.name = value
      case ("bps", let value?): disk.limit.bytes = try rate(name, value)
      case ("iops", let value?): disk.limit.operations = try rate(name, value)
      case ("bps-burst", let value?): bursts.bytes = try size(name, value)
      case ("iops-burst", let value?): bursts.operations = try size(name, value)
      case ("slot", let value?), ("address", let value?):
        disk.address = try number(name, value, atMost: .max)
      default:
        throw Failure(
          description:
            "\(name)\(value.map { "=\($0)" } ?? "") is none of its options, which are \(names)"
        )
      }
    }
    try set(bursts.bytes, of: &disk.limit.bytes, "bps")
    try set(bursts.operations, of: &disk.limit.operations, "iops")
    return disk
  }

  private static func source(_ text: String) throws(Failure) -> MachineConfiguration.Disk.Source {
    guard !text.isEmpty else { throw Failure(description: "it begins with the name of a file") }
    if NBDAddress.isAddress(text) {
      guard let address = NBDAddress(text) else {
        throw Failure(
          description: "\(text) is none of nbd:unix:PATH[:EXPORT], nbd://HOST[:PORT]/EXPORT and "
            + "nbd+unix:///EXPORT?socket=PATH; a file is ./\(text)"
        )
      }
      return .nbd(address)
    }
    guard text.hasPrefix("null:") else { return .file(text) }
    guard let size = ByteSize(argument: String(text.dropFirst(5))) else {
      throw Failure(description: "\(text) needs a size, such as null:1G; a file is ./\(text)")
    }
    return .null(size.bytes)
  }

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String,
    _ text: String
  ) throws(Failure) -> Choice {
    guard let choice = Choice(rawValue: text) else {
      let all = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw Failure(description: "\(name)=\(text) is none of \(all)")
    }
    return choice
  }

  private static func count(_ name: String, _ text: String) throws(Failure) -> Int {
    Int(truncatingIfNeeded: try number(name, text, atMost: 1 << 20))
  }

  private static func number(
    _ name: String,
    _ text: String,
    atMost limit: UInt64
  ) throws(Failure) -> UInt64 {
    guard let number = OptionParts.number(text), number <= limit else {
      throw Failure(description: "\(name)=\(text) is no number that it can be")
    }
    return number
  }

  private static func size(_ name: String, _ text: String) throws(Failure) -> UInt64 {
    guard let size = ByteSize(argument: text), size.bytes > 0 else {
      throw Failure(description: "\(name)=\(text) is none, such as 64M")
    }
    return size.bytes
  }

  private static func rate(_ name: String, _ text: String) throws(Failure) -> RateLimit.Rate {
    guard let rate = RateOption.rate(text) else {
      throw Failure(description: "\(name)=\(text) is no rate, such as 100M or 100M/16M")
    }
    return rate
  }

  private static func set(
    _ burst: UInt64?,
    of rate: inout RateLimit.Rate?,
    _ name: String
  ) throws(Failure) {
    guard let burst else { return }
    guard rate != nil else {
      throw Failure(description: "\(name)-burst=\(burst) is nothing without \(name)")
    }
    rate?.burst = burst
  }
}
