import HostOS

/// A message as it came, with the descriptors that came with it.
struct MessagePacket<Header: MessageHeader>: ~Copyable {
  let header: Header
  let payload: [UInt8]
  var descriptors: DescriptorBatch
}
