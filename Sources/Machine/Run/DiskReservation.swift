import Virtio

/// The disks of a machine that runs elsewhere on this machine's behalf: no other can use them meanwhile.
///
/// They are free again when the value goes.
public final class DiskReservation: Sendable {
  private let disks: [DiskSource]

  /// Opens and locks the disks of `configuration`.
  ///
  /// - Throws: What is wrong with one of them; see ``Machine/isUserError(_:)``.
  public init(_ configuration: MachineConfiguration) throws {
    disks = try configuration.disks.map { try $0.open() }
  }
}
