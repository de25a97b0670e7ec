/// The two ports of a connection, by which its packets know it.
struct VsockPorts: Hashable {
  var host: UInt32
  var guest: UInt32
}
