/// What a device's process is started as.
///
/// It finds null devices at descriptors 0 and 1, a pipe to our log at 2, one end of a connection at
/// ``socketNumber``, and after that what it was given; nothing else.
public struct DeviceProgram: Equatable, Sendable {
  /// The number of the connection's descriptor.
  public static var socketNumber: Int32 { 3 }

  /// The program's file.
  public var path: String
  /// All of its arguments, from `argv[0]` on.
  public var arguments: [String]
  /// Its environment, as `NAME=value`.
  public var environment: [String]
  /// Descriptors of ours that it has from number 4 on; they stay ours too.
  public var descriptors: [Int32]

  /// Describes a program.
  public init(
    _ path: String,
    _ arguments: [String],
    environment: [String] = [],
    descriptors: [Int32] = []
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
  }
}
