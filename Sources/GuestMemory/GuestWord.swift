public import Synchronization

/// A little-endian word of guest RAM that is loaded or stored in one atomic access.
///
/// Each width says how, since an `Atomic` has its operations for one width at a time.
@usableFromInline
protocol GuestWord: FixedWidthInteger {
  /// Loads the aligned word at `place`; later loads and stores stay after it.
  static func loadAcquiring(_ place: UInt) -> Self
  /// Stores it in the aligned word at `place`; earlier loads and stores stay before it.
  func storeReleasing(_ place: UInt)
}

extension GuestWord {
  /// The size in bytes.
  @inlinable
  static var size: UInt64 {
    @inline(__always) get { UInt64(truncatingIfNeeded: bitWidth / 8) }
  }

  /// Whether one access can reach a word at `place` of the host.
  @inlinable
  @inline(__always)
  static func isAligned(_ place: UInt) -> Bool { place & UInt(truncatingIfNeeded: size &- 1) == 0 }
}

extension UInt16: GuestWord {
  @inlinable
  @inline(__always)
  static func loadAcquiring(_ place: UInt) -> UInt16 {
    // SAFETY: the caller has found the word mapped and aligned, and `Atomic<UInt16>` has its layout.
    unsafe UInt16(
      littleEndian: UnsafePointer<Atomic<UInt16>>(bitPattern: place).unsafelyUnwrapped.pointee
        .load(ordering: .acquiring)
    )
  }

  @inlinable
  @inline(__always)
  func storeReleasing(_ place: UInt) {
    // SAFETY: as for loads.
    unsafe UnsafePointer<Atomic<UInt16>>(bitPattern: place).unsafelyUnwrapped.pointee
      .store(littleEndian, ordering: .releasing)
  }
}

extension UInt32: GuestWord {
  @inlinable
  @inline(__always)
  static func loadAcquiring(_ place: UInt) -> UInt32 {
    // SAFETY: the caller has found the word mapped and aligned, and `Atomic<UInt32>` has its layout.
    unsafe UInt32(
      littleEndian: UnsafePointer<Atomic<UInt32>>(bitPattern: place).unsafelyUnwrapped.pointee
        .load(ordering: .acquiring)
    )
  }

  @inlinable
  @inline(__always)
  func storeReleasing(_ place: UInt) {
    // SAFETY: as for loads.
    unsafe UnsafePointer<Atomic<UInt32>>(bitPattern: place).unsafelyUnwrapped.pointee
      .store(littleEndian, ordering: .releasing)
  }
}

extension UInt64: GuestWord {
  @inlinable
  @inline(__always)
  static func loadAcquiring(_ place: UInt) -> UInt64 {
    // SAFETY: the caller has found the word mapped and aligned, and `Atomic<UInt64>` has its layout.
    unsafe UInt64(
      littleEndian: UnsafePointer<Atomic<UInt64>>(bitPattern: place).unsafelyUnwrapped.pointee
        .load(ordering: .acquiring)
    )
  }

  @inlinable
  @inline(__always)
  func storeReleasing(_ place: UInt) {
    // SAFETY: as for loads.
    unsafe UnsafePointer<Atomic<UInt64>>(bitPattern: place).unsafelyUnwrapped.pointee
      .store(littleEndian, ordering: .releasing)
  }
}
