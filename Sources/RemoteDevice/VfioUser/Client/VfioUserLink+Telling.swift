extension VfioUserLink {
  /// Asks for what has no answer but that it is done.
  func tell(
    _ request: VfioUserRequest,
    descriptors: [Int32] = [],
    deadline: UInt64? = nil
  ) throws(VfioUserError) {
    _ = try ask(request, descriptors: descriptors, deadline: deadline)
  }
}
