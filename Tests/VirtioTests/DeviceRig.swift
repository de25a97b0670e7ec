import GuestMemory
import Logging
import Synchronization
import TestSupport
import Virtio

/// A device with a driver, and nothing but the shared registers between them.
struct DeviceRig {
  let memory: GuestMemory
  let interrupts = RecordingInterrupts()
  let log = RecordedLog()
  let controller: VirtioDeviceController
  let driver: MockDriver
  let transport: DirectTransport

  init(_ device: any VirtioDevice, memoryCount: UInt64 = 4 << 20) throws {
    memory = try GuestMemory(count: memoryCount)
    controller = try VirtioDeviceController(
      device,
      memory: memory,
      interrupts: interrupts,
      logger: log.makeLogger()
    )
    transport = DirectTransport(controller)
    driver = MockDriver(transport, in: memory)
  }
}
