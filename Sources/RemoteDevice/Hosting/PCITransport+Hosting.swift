public import GuestMemory
public import Virtio

extension PCITransport: GuestMemoryUser {
  /// Has the device go on in `memory`, its queues where they stood.
  public func replaceMemory(with memory: GuestMemory) {
    controller.replaceMemory(with: memory)
  }
}

extension PCITransport: StateKeepingFunction {}
