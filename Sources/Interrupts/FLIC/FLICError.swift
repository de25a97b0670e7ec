import Glibc

/// Why a call to a floating interrupt controller was refused; nothing has changed then.
public enum FLICError: Error, Equatable, Sendable {
  /// The VM has a controller already.
  case exists
  /// The controller was destroyed; the object remains, and does nothing.
  case destroyed
  /// An unknown group, type, mode or adapter, or a length that the group does not take.
  case invalid
  /// The buffer ends before what is to be read from it or written into it.
  case badBuffer
  /// The buffer is too small for all pending interrupts: try again with a larger one.
  case tooSmall
  /// As many interrupts of that class as there may be are pending.
  case busy
  /// The interface has no such group.
  case noSuchGroup
  /// The guest does not have the facility.
  case unsupported
  /// The interface does not have the call.
  case notPermitted
  /// No interrupt is pending.
  case empty

  /// The error number with which Linux answers the same call.
  public var errno: Int32 {
    switch self {
    // Not EEXIST, which KVM's general documentation has for it: both generations answer EINVAL.
    case .exists, .invalid: EINVAL
    case .destroyed: ENODEV
    case .badBuffer: EFAULT
    case .tooSmall: ENOMEM
    case .busy: EBUSY
    case .noSuchGroup: ENXIO
    case .unsupported: EOPNOTSUPP
    case .notPermitted: EPERM
    case .empty: ENODATA
    }
  }
}
