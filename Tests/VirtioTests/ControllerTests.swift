import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct ControllerTests {
  @Test func aDriverStartsADeviceStepByStep() throws {
    let device = EchoDevice()
    let rig = try DeviceRig(device)
    try rig.driver.negotiate()
    #expect(rig.transport.status == 11)
    _ = try rig.driver.makeQueue(0)
    #expect(device.activations.load(ordering: .relaxed) == 0)
    rig.driver.start()
    #expect(rig.transport.status == 15)
    #expect(device.activations.load(ordering: .relaxed) == 1)
    #expect(device.agreed == device.features.union(.common))
    #expect(rig.log.lines == [])
  }

  @Test func theOfferedFeaturesShowInWindowsOf32Bits() throws {
    let rig = try DeviceRig(EchoDevice())
    #expect(
      rig.transport.deviceFeatures == 1 << 40 | 1 << 34 | 1 << 32 | 1 << 29 | 1 << 28 | 0b11000
    )
    rig.controller.deviceFeatureSelect = 2
    #expect(rig.controller.deviceFeatures == 0)
    rig.controller.driverFeatureSelect = 0xFFFF_FFFF
    rig.controller.driverFeatures = 5
    #expect(rig.controller.driverFeatures == 0)
  }

  @Test(
    arguments: [
      (0, "without VIRTIO_F_VERSION_1"), (1 << 32 | 1 << 5, "beyond the offered"),
      (1 << 32 | 1 << 63, "beyond the offered"), (1 << 32 | 1 << 3, "do not go together"),
    ] as [(UInt64, String)]
  )
  func badFeaturesAreRefused(features: UInt64, reason: String) throws {
    let rig = try DeviceRig(EchoDevice())
    rig.transport.status = 3
    rig.transport.acceptFeatures(features)
    rig.transport.status = 11
    #expect(rig.transport.status == 3)
    #expect(rig.log.lines.count == 1)
    #expect(rig.log.lines.first?.contains(reason) == true)
  }

  @Test func aRefusedDriverMayTryAgain() throws {
    let rig = try DeviceRig(EchoDevice())
    rig.transport.status = 3
    rig.transport.acceptFeatures(0)
    rig.transport.status = 11
    rig.transport.acceptFeatures(1 << 32)
    rig.transport.status = 11
    #expect(rig.transport.status == 11)
  }

  @Test func featuresStandStillAfterFeaturesOK() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate(without: .eventIndex)
    rig.controller.driverFeatureSelect = 0
    let before = rig.controller.driverFeatures
    rig.controller.driverFeatures = .max
    #expect(rig.controller.driverFeatures == before)
  }

  @Test func aDeviceDoesNotStartWithoutFeaturesOK() throws {
    let device = EchoDevice()
    let rig = try DeviceRig(device)
    rig.transport.status = 7
    #expect(rig.transport.status == 3)
    #expect(device.activations.load(ordering: .relaxed) == 0)
  }

  @Test func bitsOfTheStatusAreNotClearedOtherThanByAReset() throws {
    let device = EchoDevice()
    let rig = try DeviceRig(device)
    try rig.driver.negotiate()
    rig.driver.start()
    rig.transport.status = 3
    #expect(rig.transport.status == 15)
    rig.transport.status = 15
    #expect(device.activations.load(ordering: .relaxed) == 1)
    rig.transport.status = 0
    #expect(rig.transport.status == 0)
    #expect(rig.interrupts.resets == 2)
  }

  @Test func onlyTheDeviceSaysThatItNeedsAReset() throws {
    let rig = try DeviceRig(EchoDevice())
    rig.transport.status = 0x43
    #expect(rig.transport.status == 3)
  }

  @Test func aResetForgetsWhatTheDriverWrote() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate()
    _ = try rig.driver.makeQueue(0, size: 8)
    rig.transport.status = 0
    rig.controller.queueSelect = 0
    #expect(rig.controller.queueSize == 64)
    #expect(rig.controller.isQueueEnabled == false)
    #expect(rig.controller.queueAddress(.descriptors) == 0)
    rig.controller.driverFeatureSelect = 1
    #expect(rig.controller.driverFeatures == 0)
  }

  @Test func aQueueThatDoesNotExistIsEmpty() throws {
    let rig = try DeviceRig(EchoDevice())
    #expect(rig.transport.maximumSize(of: 1) == 0)
    rig.controller.queueSize = 4
    rig.controller.setQueueAddress(.used, to: 4096)
    rig.controller.enableQueue()
    #expect(rig.controller.queueSize == 0)
    #expect(rig.controller.queueAddress(.used) == 0)
    #expect(rig.controller.isQueueEnabled == false)
    #expect(rig.transport.status == 0)
    rig.transport.notify(1)
    #expect(rig.log.lines == ["warning: echo: notification for queue 1 of 1"])
  }

  @Test func addressesAreSetInHalves() throws {
    let rig = try DeviceRig(EchoDevice())
    rig.controller.setQueueAddressHigh(.used, to: 0x1234_5678)
    rig.controller.setQueueAddressLow(.used, to: 0x9ABC_DEF0)
    #expect(rig.controller.queueAddress(.used) == 0x1234_5678_9ABC_DEF0)
  }

  // (size, descriptor table, available ring, used ring, what the log says)
  @Test(
    arguments: [
      (128, 0x1000, 0x2000, 0x3000, "queue size 128 is above the offered 64"),
      (48, 0x1000, 0x2000, 0x3000, "queue size 48 is not a power of 2 up to 32768"),
      (0, 0x1000, 0x2000, 0x3000, "queue size 0 is not a power of 2 up to 32768"),
      (64, 0x1001, 0x2000, 0x3000, "descriptor area at 0x1001 is not aligned to 16 bytes"),
      (64, 0x1000, 0x2001, 0x3000, "driver area at 0x2001 is not aligned to 2 bytes"),
      (64, 0x1000, 0x2000, 0x3002, "device area at 0x3002 is not aligned to 4 bytes"),
      (64, 0x1000, 0x2000, 0x3FFF00, "device area of 518 bytes at 0x3fff00 is not in RAM"),
    ] as [(UInt16, UInt64, UInt64, UInt64, String)]
  )
  func aBadQueueNeedsAReset(
    size: UInt16,
    descriptors: UInt64,
    available: UInt64,
    used: UInt64,
    line: String
  ) throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate(without: .packedRing)
    rig.controller.queueSize = size
    rig.controller.setQueueAddress(.descriptors, to: descriptors)
    rig.controller.setQueueAddress(.available, to: available)
    rig.controller.setQueueAddress(.used, to: used)
    rig.controller.enableQueue()
    #expect(rig.controller.isQueueEnabled == false)
    #expect(rig.transport.status == 11 | 64)
    #expect(rig.log.lines == ["warning: echo: needs a reset: queue 0: \(line)"])
    // 2.1.2: told with a configuration change once the driver is there to hear it.
    #expect(rig.interrupts.changes == 0)
    rig.driver.start()
    #expect(rig.interrupts.changes == 1)
  }

  @Test func aPackedQueueMayHaveAnySize() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0, size: 13)
    #expect(queue.isPacked)
    rig.driver.start()
    for _ in 0..<40 {
      #expect(
        try rig.driver.request(0, queue, [.readable(0x100000, 4), .writable(0x200000, 8)]) == 4
      )
    }
    #expect(rig.log.lines == [])
  }

  @Test func theKindOfRingIsFixedBeforeItsQueuesAre() throws {
    let rig = try DeviceRig(EchoDevice())
    rig.transport.status = 3
    rig.transport.acceptFeatures(VirtioFeatures.version1.rawValue)
    rig.controller.queueSize = 64
    rig.controller.setQueueAddress(.descriptors, to: 0x1000)
    rig.controller.setQueueAddress(.available, to: 0x2002)
    rig.controller.setQueueAddress(.used, to: 0x3000)
    rig.controller.enableQueue()
    #expect(rig.controller.isQueueEnabled)
    rig.transport.acceptFeatures(([.version1, .packedRing] as VirtioFeatures).rawValue)
    rig.transport.status = 11
    rig.transport.status = 15
    #expect(rig.transport.status == 15 | 64)
    #expect(
      rig.log.lines == [
        "warning: echo: needs a reset: queue 0: driver area at 0x2002 is not aligned to 4 bytes"
      ]
    )
  }

  @Test func aDeviceMayOfferSplitRingsOnly() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let controller = try VirtioDeviceController(
      EchoDevice(),
      memory: memory,
      interrupts: RecordingInterrupts(),
      features: VirtioFeatures.common.subtracting(.packedRing),
      logger: RecordedLog().makeLogger()
    )
    #expect(DirectTransport(controller).deviceFeatures & 1 << 34 == 0)
  }

  @Test func anEnabledQueueStaysInItsPlace() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.controller.setQueueAddress(.used, to: 0)
    rig.controller.queueSize = 2
    #expect(rig.controller.queueAddress(.used) == queue.usedRing.rawValue)
    #expect(rig.controller.queueSize == 64)
    rig.controller.disableQueue()
    #expect(rig.controller.isQueueEnabled == false)
  }

  @Test func queuesAreNotChangedWhileTheDeviceRuns() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [8, 8]))
    try rig.driver.negotiate(without: .ringReset)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    rig.controller.queueSelect = 0
    rig.controller.disableQueue()
    #expect(rig.controller.isQueueEnabled)
    rig.controller.queueSelect = 1
    rig.controller.setQueueAddress(.descriptors, to: queue.descriptorTable.rawValue)
    rig.controller.enableQueue()
    #expect(rig.controller.isQueueEnabled == false)
  }

  @Test func theConfigurationIsReadAndWrittenAtAnyWidth() throws {
    let device = EchoDevice()
    let rig = try DeviceRig(device)
    #expect(rig.controller.readConfiguration(offset: 0, width: 8) == 0x8877_6655_4433_2211)
    #expect(rig.controller.readConfiguration(offset: 1, width: 1) == 0x22)
    #expect(rig.controller.readConfiguration(offset: 6, width: 4) == 0x8877)
    #expect(rig.controller.readConfiguration(offset: 8, width: 4) == 0)
    #expect(rig.controller.readConfiguration(offset: .max, width: 8) == 0)
    rig.controller.writeConfiguration(1, offset: 0, width: 4)
    rig.controller.writeConfiguration(2, offset: 8, width: 4)
    #expect(device.writes == [1])
  }

  @Test func aChangedConfigurationHasANewGenerationAndAnInterrupt() throws {
    let device = EchoDevice()
    let rig = try DeviceRig(device)
    let before = rig.controller.configurationGeneration
    rig.controller.signals.configurationChanged()
    #expect(rig.controller.configurationGeneration != before)
    #expect(rig.interrupts.changes == 0)
    try rig.driver.negotiate()
    rig.driver.start()
    rig.controller.signals.configurationChanged()
    #expect(rig.interrupts.changes == 1)
  }

  @Test func aGuestCannotFloodTheLog() throws {
    let rig = try DeviceRig(EchoDevice())
    for _ in 0..<10_000 { rig.transport.notify(9) }
    #expect(rig.log.lines.count < 20)
  }

  @Test func aFailedDriverIsLogged() throws {
    let rig = try DeviceRig(EchoDevice())
    rig.transport.status = 3
    rig.transport.status = 0x83
    #expect(rig.transport.status == 0x83)
    #expect(rig.log.lines == ["warning: echo: driver has given up on the device"])
  }
}
