import HostOS

/// What a process can try by the rings of io_uring that it has, of which no filter of system calls sees anything.
enum RingAttempt {
  // The kernel's io_uring.h.
  private static let operations: [String: UInt8] = [
    "ring_nothing": 0, "ring_poll": 6, "ring_send": 9, "ring_accept": 13, "ring_connect": 16,
    "ring_open": 18, "ring_files": 20, "ring_stat": 21, "ring_send_bytes": 26, "ring_open2": 28,
    "ring_control": 29, "ring_rename": 35, "ring_remove": 36, "ring_message": 40,
    "ring_attribute": 42, "ring_socket": 45, "ring_command": 46, "ring_cut": 55,
  ]

  /// The attempts by their names.
  static var names: [String] { operations.keys.sorted() }

  /// Makes an attempt, with a registered file and, if the kernel refuses that, with another one; or reads from one that is
  /// not registered.
  ///
  /// - Returns: What the kernel answers, a negative errno for a refusal.
  static func perform(_ name: String) throws -> Int {
    let ring = try IOUring(capacity: 4, files: [2])
    let path = Array("/etc/passwd".utf8CString)
    return path.withUnsafeBytes { path in
      // AT_FDCWD, or AF_UNIX and the like where there is none.
      let (operation, file): (UInt8, Int32) =
        name == "ring_read" ? (22, 2) : (operations[name] ?? 0, name == "ring_socket" ? 40 : -100)
      var result = -1
      for isRegistered in name == "ring_read" ? [false] : [true, false] {
        guard
          ring.request(
            operation,
            isRegistered: isRegistered,
            file: isRegistered ? 0 : file,
            address: path.baseAddress,
            count: 1,
            token: 1
          ), ring.enter(waitingFor: 1), let completion = ring.take()
        else { return -1 }
        result = Int(completion.result)
        if result >= 0 { return result }
      }
      return result
    }
  }
}
