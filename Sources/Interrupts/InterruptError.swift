import Glibc
public import HostOS

/// What the interrupt plane refuses, each with the errno that stands for it in the kernel's interface.
public enum InterruptError: Error, Equatable, Sendable, CustomStringConvertible {
  /// No interrupt eventfd is bound with this descriptor (`ENODEV`).
  case noSuchIRQFD(Int32)
  /// Flags, a route or a descriptor that make no sense (`EINVAL`); the text says which.
  case invalid(String)
  /// No such GSI (`EINVAL`).
  case noSuchGSI(GSI)
  /// The descriptor has its one end-of-interrupt eventfd, or raises a GSI, already (`EBUSY`).
  case busy(Int32)
  /// There is no such pair to take apart (`ENOENT`).
  case notAssigned(Int32)
  /// The descriptor is not open (`EBADF`).
  case badDescriptor(Int32)
  /// The host failed.
  case system(SystemError)

  /// The number that the kernel's interface would return, positive.
  public var errno: Int32 {
    switch self {
    case .noSuchIRQFD: ENODEV
    case .invalid, .noSuchGSI: EINVAL
    case .busy: EBUSY
    case .notAssigned: ENOENT
    case .badDescriptor: EBADF
    case .system(let error): error.code
    }
  }

  /// One line, with the value and what to do.
  public var description: String {
    switch self {
    case .noSuchIRQFD(let number):
      "descriptor \(number) raises no interrupt; assign it to a GSI first"
    case .invalid(let what): what
    case .noSuchGSI(let gsi): "\(gsi): GSIs are 0 to \(RoutingTable.gsiCount - 1)"
    case .busy(let number): "descriptor \(number) is bound already; take it off first"
    case .notAssigned(let number): "descriptor \(number) is not bound so; name the pair as assigned"
    case .badDescriptor(let number): "descriptor \(number) is not open"
    case .system(let error): "\(error)"
    }
  }
}
