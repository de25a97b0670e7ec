import CLinux

/// Memory slots, and the addresses that KVM takes for itself.
extension VM {
  /// Makes, moves, changes or removes a memory slot (api.rst, 4.35).
  ///
  /// The host memory must stay mapped for as long as the slot and the machine exist: the guest
  /// reads and writes whatever is there.
  ///
  /// - Parameters:
  ///   - slot: The slot's number; setting it again moves it or changes its options.
  ///   - guestAddress: Guest-physical address, a multiple of the page size.
  ///   - size: Length in bytes, a multiple of the page size; 0 removes the slot.
  ///   - unsafeHostAddress: Where the memory is in this process, a multiple of the page size.
  ///   - options: What the slot does beyond being RAM.
  /// - Throws: ``KVMError``, `EEXIST` for a slot that overlaps another.
  public func setMemoryRegion(
    slot: UInt32,
    guestAddress: UInt64,
    size: UInt64,
    unsafeHostAddress: UInt,
    options: MemorySlotOptions = []
  ) throws(KVMError) {
    var raw = kvm_userspace_memory_region(
      slot: slot,
      flags: options.rawValue,
      guest_phys_addr: guestAddress,
      memory_size: size,
      userspace_addr: UInt64(unsafeHostAddress)
    )
    try descriptor.perform(
      .setUserMemoryRegion,
      with: &raw,
      "slot \(slot), \(hexadecimal(size)) bytes at \(hexadecimal(guestAddress)), "
        + "flags \(options.rawValue)"
    )
  }

  /// The pages of a slot that the guest wrote since the last call, and starts over (api.rst, 4.8).
  ///
  /// With ``KVMCapability/manualDirtyLogProtect`` enabled it only tells, and
  /// ``clearDirtyLog(slot:firstPage:pageCount:bitmap:)`` starts over.
  ///
  /// - Parameters:
  ///   - slot: A slot with ``MemorySlotOptions/logDirty``.
  ///   - size: The slot's length in bytes.
  /// - Throws: ``KVMError``, `ENOENT` for a slot that has no log.
  /// - Returns: One bit for each page of 4096 bytes, the first page's lowest in the first word.
  public func dirtyLog(slot: UInt32, size: UInt64) throws(KVMError) -> [UInt64] {
    let pages = Int((size + 4095) / 4096)
    var bitmap = [UInt64](repeating: 0, count: (pages + 63) / 64)
    let failure = unsafe bitmap.withUnsafeMutableBytes { bytes -> KVMError? in
      var raw = unsafe kvm_dirty_log()
      unsafe raw.slot = slot
      unsafe raw.dirty_bitmap = bytes.baseAddress
      // SAFETY: the kernel writes the slot's bitmap, in whole words; the caller gave its size.
      return unsafe describeFailure(.getDirtyLog, &raw, "slot \(slot)")
    }
    if let failure { throw failure }
    return bitmap
  }

  /// Starts over for some pages of a slot, with ``KVMCapability/manualDirtyLogProtect``
  /// (api.rst, 4.117).
  ///
  /// - Parameters:
  ///   - slot: A slot with ``MemorySlotOptions/logDirty``.
  ///   - firstPage: The page that the bitmap starts at, a multiple of 64.
  ///   - pageCount: A multiple of 64, unless the range ends with the slot.
  ///   - bitmap: One bit for each page, as ``dirtyLog(slot:size:)`` has them.
  /// - Throws: ``KVMError``, `ENOENT` for a slot that has no log.
  public func clearDirtyLog(
    slot: UInt32,
    firstPage: UInt64,
    pageCount: UInt32,
    bitmap: [UInt64]
  ) throws(KVMError) {
    precondition(
      UInt64(bitmap.count) * 64 >= UInt64(pageCount),
      "\(bitmap.count) words for \(pageCount) pages"
    )
    var bitmap = bitmap
    let failure = unsafe bitmap.withUnsafeMutableBytes { bytes -> KVMError? in
      var raw = unsafe kvm_clear_dirty_log()
      unsafe raw.slot = slot
      unsafe raw.num_pages = pageCount
      unsafe raw.first_page = firstPage
      unsafe raw.dirty_bitmap = bytes.baseAddress
      // SAFETY: the kernel reads one bit for each page, which the precondition found to be there.
      return unsafe describeFailure(
        .clearDirtyLog,
        &raw,
        "slot \(slot), \(pageCount) pages from \(firstPage)"
      )
    }
    if let failure { throw failure }
  }

  /// Sets where Intel processors in real mode keep three pages of a task-state segment
  /// (api.rst, 4.36): within the first 4 GiB, and not in any slot.
  public func setTSSAddress(_ guestAddress: UInt64) throws(KVMError) {
    try descriptor.perform(.setTSSAddress, UInt(guestAddress), hexadecimal(guestAddress))
  }

  /// Sets where Intel processors without paging keep a page of page tables (api.rst, 4.40): within
  /// the first 4 GiB, and not in any slot; before the first vCPU.
  public func setIdentityMapAddress(_ guestAddress: UInt64) throws(KVMError) {
    var raw = guestAddress
    try descriptor.perform(.setIdentityMapAddress, with: &raw, hexadecimal(guestAddress))
  }

  private func describeFailure<Value>(
    _ request: KVMRequest,
    _ value: inout Value,
    _ details: String
  ) -> KVMError? {
    do throws(KVMError) {
      try descriptor.perform(request, with: &value, details)
      return nil
    } catch { return error }
  }
}
