public import GuestMemory
public import HostOS

/// The network behind a network device: a host's interface, or another program.
///
/// It outlives the device, so that a guest which is started anew finds the same network. Any thread
/// may call; each port belongs to one.
public protocol NetBackend: AnyObject, Sendable {
  /// What messages call it: `tap0`, or a path.
  var label: String { get }
  /// How many pairs of queues it has, each of which takes and brings frames by itself.
  var queuePairCount: Int { get }
  /// The features of a device that it can keep: those about checksums and segmentation.
  var features: VirtioFeatures { get }
  /// Whether there is anybody at the other end, as far as is known.
  var isConnected: Bool { get }
  /// The most bytes that a packet has, if it is not the usual 1500.
  var mtu: UInt16? { get }

  /// The way to and from the network for one pair of queues; not used before an earlier one of the
  /// same pair is gone.
  func makePort(_ pair: Int) -> any NetPort
  /// Chooses what the guest takes, of ``VirtioFeatures/netGuestOffloads``.
  func setGuestOffloads(_ features: VirtioFeatures) throws(SystemError)
  /// Has frames come to the first `count` pairs only.
  func setActivePairs(_ count: Int) throws(SystemError)
}

/// A network's frames for one pair of queues, on the thread of that pair.
public protocol NetPort: AnyObject {
  /// Whether frames have a virtio header, both ways.
  var hasHeader: Bool { get }
  /// Whether there is anybody at the other end; changes in a call of ``receive(into:overflow:)``.
  var isConnected: Bool { get }

  /// Takes the next frame that has come.
  ///
  /// - Parameters:
  ///   - buffers: Where it goes: a virtio header, which stays as it is where the port has none, then
  ///     the frame.
  ///   - overflow: Takes what does not fit.
  /// - Returns: The frame's size, or why there is none.
  func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived
  /// Sends a frame, after its virtio header where the port has one.
  func send(_ frame: inout GuestIOVector) -> NetSent
  /// Sends what is left of a frame of which a part has gone; ``NetSent/sent`` if there is nothing.
  func flush() -> NetSent
}

extension NetPort {
  /// Where frames go whole or not at all, nothing is ever left.
  public func flush() -> NetSent { .sent }
}

/// What came of the wish for a frame.
public enum NetReceived: Equatable, Sendable {
  /// A frame of so many bytes, a virtio header included, whether or not the port has one.
  case frame(count: Int)
  /// None is there before the descriptor with this number is readable.
  case mustWait(Int32)
  /// The other end is gone, for the reason given; another may come.
  case disconnected(String)
  /// None will ever come again; the reason for the log.
  case ended(String)
}

/// What came of sending a frame.
public enum NetSent: Equatable, Sendable {
  /// It is gone.
  case sent
  /// Nothing of it is gone before the descriptor with this number is writable.
  case mustWait(Int32)
  /// It cannot be sent: nobody is there, or the host refuses it for the reason given.
  case dropped(String?)
}
