import Glibc
import HostOS
import RemoteDevice

/// Whom a device is served to, as a user says it.
public enum DevicePeer: Hashable, Sendable {
  /// vhost-user front ends: the path of a socket to listen at, or `fd:N` for one that the process was started with.
  case vhostUser(String)
  /// vfio-user clients: as before.
  case vfioUser(String)
  /// A proxy of the multi-process protocol: `fd:N` for a connected socket that the process was started with.
  case mpqemu(String)

  /// Where the peer is to be found.
  var place: String {
    switch self {
    case .vhostUser(let place), .vfioUser(let place), .mpqemu(let place): place
    }
  }

  /// The peer's way in.
  enum Door: ~Copyable {
    case vhostUser(PeerEndpoint)
    case vfioUser(PeerEndpoint)
    case mpqemu(OwnedFileDescriptor)
  }

  /// Opens the way in.
  ///
  /// - Throws: ``UserError`` if there can be none there.
  func open() throws(UserError) -> Door {
    switch self {
    case .vhostUser(let place): .vhostUser(try Self.endpoint(place, "--vhost-user"))
    case .vfioUser(let place): .vfioUser(try Self.endpoint(place, "--vfio-user"))
    case .mpqemu(let place): .mpqemu(try Self.socket(place))
    }
  }

  private static func endpoint(
    _ place: String,
    _ option: String
  ) throws(UserError) -> PeerEndpoint {
    do throws(SystemError) {
      guard place.hasPrefix("fd:") else { return try PeerEndpoint(path: place) }
      return try PeerEndpoint(adopting: descriptor(place))
    } catch {
      let remedy =
        place.hasPrefix("fd:")
        ? "name the number of an open unix stream socket" : "name a path where a socket can be made"
      throw UserError(message: "\(option) \(place): \(error.reason); \(remedy)")
    }
  }

  private static func socket(_ place: String) throws(UserError) -> OwnedFileDescriptor {
    do throws(SystemError) {
      return try MPQEMUServer.socket(adopting: descriptor(place))
    } catch {
      throw UserError(
        message: "--mpqemu \(place): \(error.reason); "
          + "say fd: and the number of a connected unix stream socket"
      )
    }
  }

  /// The descriptor that `fd:N` names, as one of our own: whoever started this process may hold on to the number.
  static func descriptor(_ place: String) throws(SystemError) -> OwnedFileDescriptor {
    guard place.hasPrefix("fd:"), let number = Int32(place.dropFirst(3)), number > STDERR_FILENO
    else { throw SystemError(call: "", code: EBADF) }
    return try OwnedFileDescriptor(duplicating: number)
  }
}
