import GuestMemory

/// The requests of one queue that can be under way at once, each in a place of its own that is used
/// again and again.
///
/// Owned by the queue's thread. An array would check for each access whether its storage is shared;
/// this never is.
@safe
final class DiskRequests {
  /// How many places there are.
  let count: Int

  private let places: UnsafeMutablePointer<DiskRequest>
  // The numbers of free places; the first `freeCount` count.
  private let free: UnsafeMutablePointer<Int>
  private(set) var freeCount: Int

  init(count: Int, in memory: GuestMemory) {
    self.count = count
    freeCount = count
    unsafe places = .allocate(capacity: count)
    unsafe free = .allocate(capacity: count)
    for index in 0..<count {
      // SAFETY: there is room for `count` of each.
      unsafe (places + index).initialize(to: DiskRequest(in: memory))
      unsafe (free + index).initialize(to: count - 1 - index)
    }
  }

  deinit {
    // SAFETY: all places were initialized and stay so.
    unsafe places.deinitialize(count: count)
    unsafe places.deallocate()
    unsafe free.deallocate()
  }

  /// The request in place `index`.
  subscript(index: Int) -> DiskRequest {
    unsafeAddress {
      precondition(index >= 0 && index < count, "no place \(index) of \(count)")
      // SAFETY: all places are initialized.
      return unsafe UnsafePointer(places + index)
    }
    unsafeMutableAddress {
      precondition(index >= 0 && index < count, "no place \(index) of \(count)")
      // SAFETY: as above.
      return unsafe places + index
    }
  }

  /// Takes a free place.
  func take() -> Int? {
    guard freeCount > 0 else { return nil }
    freeCount -= 1
    // SAFETY: below the number of those that are free.
    return unsafe free[freeCount]
  }

  /// Gives a place back.
  func giveBack(_ index: Int) {
    precondition(freeCount < count, "a place given back twice")
    // SAFETY: there is room for all.
    unsafe free[freeCount] = index
    freeCount += 1
  }
}
