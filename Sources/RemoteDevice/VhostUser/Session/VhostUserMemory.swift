import GuestMemory
import HostOS
import Virtio

/// The front end's memory: its regions, and what the addresses of rings mean.
struct VhostUserMemory {
  /// The most regions at a time.
  static var slotLimit: Int { 509 }

  private struct Region {
    let description: VhostUserRegion
    let mapping: SharedMapping
    /// How often it was added.
    var uses = 1
  }

  private var regions: [Region] = []
  /// Signalled when a page is found to be gone.
  private let fault: EventFD
  /// Whether rings are given by guest addresses; then those of the front end mean nothing.
  var usesGuestAddresses = false

  init(fault: EventFD) { self.fault = fault }

  /// Whether a page was found to be gone.
  var isBroken: Bool { regions.contains { $0.mapping.isBroken } }

  /// Puts the regions together, for a device that notes its writes in `log`.
  func makeGuestMemory(log: DirtyLog?) -> GuestMemory {
    GuestMemory(
      shared: regions.map { region in
        SharedRegion(start: GuestAddress(region.description.guestAddress), mapping: region.mapping)
      },
      log: log
    )
  }

  /// Maps a region in addition to the others.
  mutating func add(
    _ region: VhostUserRegion,
    _ descriptor: consuming OwnedFileDescriptor,
    for request: VhostUserRequest
  ) throws(VhostUserError) {
    guard regions.count < Self.slotLimit else {
      throw .refused(request, "more than \(Self.slotLimit) regions")
    }
    guard region.size > 0, region.guestAddress <= .max - region.size,
      usesGuestAddresses || region.userAddress <= .max - region.size
    else { throw .badValue(request, "\(region) wraps or is empty") }
    // Front ends that see several devices in one, such as a network with many queues, say it for each.
    if let same = regions.firstIndex(where: { $0.description == region }) {
      regions[same].uses += 1
      return
    }
    for other in regions {
      let other = other.description
      guard !Self.overlap(region.guestAddress, other.guestAddress, region, other),
        usesGuestAddresses || !Self.overlap(region.userAddress, other.userAddress, region, other)
      else { throw .badValue(request, "\(region) overlaps \(other)") }
    }
    do throws(SharedMappingError) {
      let mapping = try SharedMapping(
        of: descriptor,
        offset: region.offset,
        count: region.size,
        fault: fault
      )
      regions.append(Region(description: region, mapping: mapping))
    } catch {
      switch error {
      case .notMemory(let kind): throw .wrongDescriptor(request, kind, expected: "a memory file")
      case .tooShort, .unreliable: throw .badValue(request, "\(region): \(error)")
      case .host: throw .refused(request, "\(region): \(error)")
      }
    }
  }

  /// Forgets a region, which both its addresses and its size must name.
  mutating func remove(
    _ region: VhostUserRegion,
    for request: VhostUserRequest
  ) throws(VhostUserError) {
    let index = regions.firstIndex {
      $0.description.guestAddress == region.guestAddress && $0.description.size == region.size
        && $0.description.userAddress == region.userAddress
    }
    guard let index else { throw .badValue(request, "no \(region)") }
    regions[index].uses -= 1
    if regions[index].uses == 0 { regions.remove(at: index) }
  }

  /// Forgets all regions.
  mutating func removeAll() { regions = [] }

  /// The guest address of a ring's part of `count` bytes.
  func translate(
    _ address: UInt64,
    count: UInt64,
    _ part: VirtqueuePart,
    of ring: Int
  ) throws(VhostUserError) -> GuestAddress {
    if usesGuestAddresses { return GuestAddress(address) }
    for region in regions {
      let description = region.description
      let offset = address &- description.userAddress
      guard offset < description.size, count <= description.size - offset else { continue }
      return GuestAddress(description.guestAddress + offset)
    }
    throw .unknownAddress(ring, part, address)
  }

  private static func overlap(
    _ start: UInt64,
    _ other: UInt64,
    _ region: VhostUserRegion,
    _ otherRegion: VhostUserRegion
  ) -> Bool {
    start &- other < otherRegion.size || other &- start < region.size
  }
}
