import HostOS

/// The guest's memory, as a proxy has sent it last.
struct MPQEMUMemory {
  /// The ranges, for the function.
  private(set) var ranges: HostedMemory
  /// What was sent, with the files: a proxy sends the same again and again.
  private var sent: [(region: MPQEMURegion, file: FileIdentity)] = []
  private let fault: EventFD

  /// Has no range yet.
  init(fault: EventFD) {
    self.fault = fault
    ranges = HostedMemory(fault: fault)
  }

  /// Forgets all of it.
  mutating func removeAll() { self = Self(fault: fault) }

  /// What a message makes of it; `nil` if it says what is so already.
  ///
  /// - Throws: ``MPQEMUError`` for memory that cannot be.
  func changed(
    to regions: [MPQEMURegion],
    _ descriptors: inout DescriptorBatch
  ) throws(MPQEMUError) -> Self? {
    var changed = Self(fault: fault)
    for region in regions {
      guard let file = descriptors.takeFirst() else {
        throw .wrongDescriptorCount(.syncMemory, changed.sent.count, expected: 1...8)
      }
      do {
        changed.sent.append((region, try FileIdentity(of: file.rawValue)))
        try changed.ranges.map(
          region.address,
          size: region.size,
          access: [.read, .write],
          file,
          offset: region.offset
        )
      } catch let error as SystemError {
        throw .host(error)
      } catch {
        throw .badMemory("\(error)")
      }
    }
    let isSame =
      sent.count == changed.sent.count
      && zip(sent, changed.sent).allSatisfy { $0.region == $1.region && $0.file == $1.file }
    return isSame ? nil : changed
  }
}
