import DeviceModel
import PCI

/// The form in bytes: a magic number, a version, then the fields in order, little-endian.
extension VirtioFunctionState {
  /// The version that is written, and the only one that is read.
  public static var version: UInt16 { 1 }
  private static var magic: UInt32 { 0x5346_5641 }
  /// The most bytes that a device's own part may have.
  static var deviceLimit: Int { 1 << 16 }

  /// The state in bytes.
  public var bytes: [UInt8] {
    var writer = FieldWriter()
    writer.append(Self.magic)
    writer.append(Self.version)
    writer.append(type.rawValue)
    writer.append(offered.rawValue)
    writer.append(wanted.rawValue)
    writer.append(deviceFeatureSelect)
    writer.append(driverFeatureSelect)
    writer.append(status.rawValue)
    writer.append(queueSelect)
    writer.append(generation)
    writer.append(configurationVector)
    writer.append(interruptStatus)
    writer.append(UInt16(queues.count))
    for queue in queues { Self.write(queue, to: &writer) }
    writer.append(configuration)
    writer.append(msix)
    writer.appendCounted(device)
    return writer.bytes
  }

  /// Reads a state from bytes, which may be anybody's.
  ///
  /// - Throws: ``VirtioStateError`` if they are none, or more than one.
  public init(bytes: [UInt8]) throws(VirtioStateError) {
    var reader = FieldReader(bytes)
    let magic = try Self.field("the magic number", reader.take(UInt32.self))
    let version = try Self.field("the version", reader.take(UInt16.self))
    guard magic == Self.magic, version == Self.version else { throw .badForm(version: version) }
    type = VirtioDeviceType(rawValue: try Self.field("the type", reader.take()))
    offered = VirtioFeatures(rawValue: try Self.field("the offer", reader.take()))
    wanted = VirtioFeatures(rawValue: try Self.field("the driver's features", reader.take()))
    deviceFeatureSelect = try Self.field("a window", reader.take())
    driverFeatureSelect = try Self.field("a window", reader.take())
    status = VirtioStatus(rawValue: try Self.field("the status", reader.take()))
    queueSelect = try Self.field("the selected queue", reader.take())
    generation = try Self.field("the generation", reader.take())
    configurationVector = try Self.field("a vector", reader.take())
    interruptStatus = try Self.field("the interrupt status", reader.take())
    queues = []
    // Each is read before there is room for the next: a count that is a lie costs nothing.
    for _ in 0..<(try Self.field("the number of queues", reader.take(UInt16.self))) {
      queues.append(try Self.field("a queue", Self.readQueue(&reader)))
    }
    configuration = try Self.field("the registers", reader.takeConfiguration())
    let vectors = try Self.field("the vectors", reader.takeMSIX())
    msix = vectors.entries.isEmpty ? nil : vectors
    device = try Self.field("the device's own state", reader.takeCounted())
    guard device.count <= Self.deviceLimit else { throw .badField("the device's own state") }
    guard reader.count == 0 else { throw .trailing(count: reader.count) }
  }

  private static func write(_ queue: Queue, to writer: inout FieldWriter) {
    writer.append(queue.size)
    writer.append(queue.descriptorTable)
    writer.append(queue.availableRing)
    writer.append(queue.usedRing)
    writer.append((queue.isEnabled ? 1 : 0) | (queue.place == nil ? 0 : 2) as UInt8)
    writer.append(queue.vector)
    writer.append(queue.place?.available ?? 0)
    writer.append(queue.place?.used ?? 0)
  }

  private static func readQueue(_ reader: inout FieldReader) -> Queue? {
    guard let size = reader.take(UInt16.self), let descriptors = reader.take(UInt64.self),
      let available = reader.take(UInt64.self), let used = reader.take(UInt64.self),
      let flags = reader.take(UInt8.self), flags < 4, let vector = reader.take(UInt16.self),
      let nextAvailable = reader.take(UInt16.self), let nextUsed = reader.take(UInt16.self)
    else { return nil }
    var queue = Queue(size: size)
    (queue.descriptorTable, queue.availableRing, queue.usedRing) = (descriptors, available, used)
    queue.isEnabled = flags & 1 != 0
    queue.vector = vector
    if flags & 2 != 0 { queue.place = VirtqueueState(available: nextAvailable, used: nextUsed) }
    return queue
  }

  private static func field<Value>(
    _ name: String,
    _ value: Value?
  ) throws(VirtioStateError) -> Value {
    guard let value else { throw .badField(name) }
    return value
  }
}
