import DeviceModel
import GuestMemory
import TestSupport
import Testing

@testable import PCI

/// MSI as a guest programs it, and as a device signals it.
@Suite(.timeLimit(.minutes(5))) struct MSITests {
  private let configuration = PCIConfigurationSpace(
    PCIIdentity(vendorID: 1, deviceID: 2, classCode: 0xFF_00_00)
  )
  private let messages = FakeMessageInterrupts()
  private let msi: MSI

  init() throws {
    msi = try MSI(MSI.Layout(vectorCount: 4), in: configuration, from: messages)
  }

  private func write(_ value: UInt32, _ place: Int, width: Int = 4) {
    configuration.write(value, msi.offset + place, width: width)
    msi.update()
  }

  private func pending() -> UInt32 {
    msi.prepareRead(msi.offset + 20, width: 4)
    return configuration.read(msi.offset + 20, width: 4)
  }

  /// Programs a message and enables so many vectors, as a power of 2.
  private func enable(_ shift: UInt32 = 2) {
    write(0xFEE0_1000, 4)
    write(0, 8)
    write(0x40, 12, width: 2)
    write(shift << 4 | 1, 2, width: 2)
  }

  private func deliveries(_ vector: Int) -> [UInt32] {
    messages.made[vector].deliveries.map(\.data)
  }

  @Test func theCapabilityIsFoundWithWhatCanBeWritten() {
    #expect(configuration.read(msi.offset, width: 1) == 5)
    // Four vectors, 64 bits, masks.
    #expect(configuration.read(msi.offset + 2, width: 2) == 0x0184)
    for place in stride(from: 2, to: 24, by: 2) { write(0xFFFF, place, width: 2) }
    #expect(configuration.read(msi.offset + 2, width: 2) == 0x01F5)
    #expect(configuration.read(msi.offset + 4, width: 4) == 0xFFFF_FFFC)
    #expect(configuration.read(msi.offset + 8, width: 4) == 0xFFFF_FFFF)
    #expect(configuration.read(msi.offset + 12, width: 4) == 0xFFFF)
    #expect(configuration.read(msi.offset + 16, width: 4) == 0xF)
    #expect(configuration.read(msi.offset + 20, width: 4) == 0)
  }

  @Test(arguments: [(false, false, 10), (true, false, 14), (false, true, 20), (true, true, 24)])
  func eachFormIsAsLongAsItIs(_ is64Bit: Bool, _ hasMasks: Bool, _ count: Int) throws {
    let layout = MSI.Layout(vectorCount: 1, is64Bit: is64Bit, hasMasks: hasMasks)
    #expect(layout.count == count)
    let msi = try MSI(layout, in: configuration, from: messages)
    configuration.write(0xFEE0_0000, msi.offset + 4, width: 4)
    configuration.write(0x31, msi.offset + (is64Bit ? 12 : 8), width: 2)
    configuration.write(1, msi.offset + 2, width: 2)
    msi.update()
    msi.signal(0)
    #expect(
      messages.made[4].deliveries == [InterruptMessage(address: 0xFEE0_0000, data: 0x31)]
    )
  }

  @Test func eachVectorHasItsData() {
    enable()
    #expect(msi.isEnabled)
    for vector in 0..<4 {
      msi.signal(vector)
      #expect(
        messages.made[vector].deliveries == [
          InterruptMessage(address: 0xFEE0_1000, data: 0x40 | UInt32(vector))
        ]
      )
    }
    msi.signal(4)
    #expect(messages.made.allSatisfy { $0.deliveries.count == 1 })
  }

  @Test func whatIsProgrammedAnewIsFollowed() {
    enable()
    write(0x80, 12, width: 2)
    msi.signal(1)
    #expect(deliveries(1) == [0x81])
    write(0xFEE0_2000, 4)
    msi.signal(1)
    #expect(messages.made[1].deliveries.last == InterruptMessage(address: 0xFEE0_2000, data: 0x81))
    write(0, 2, width: 2)
    msi.signal(1)
    #expect(deliveries(1).count == 2)
  }

  @Test func aGuestMayAllocateFewer() {
    enable(1)
    for vector in 0..<4 {
      msi.signal(vector)
      #expect(deliveries(vector & 1).count == vector / 2 + 1)
    }
    #expect(deliveries(0) == [0x40, 0x40])
    #expect(deliveries(1) == [0x41, 0x41])
    // More than there are are as many as there are.
    enable(5)
    msi.signal(3)
    #expect(deliveries(3) == [0x43])
  }

  @Test func aMaskedVectorWaits() {
    enable()
    write(0b10, 16)
    msi.signal(1)
    msi.signal(2)
    #expect(deliveries(1) == [] && deliveries(2) == [0x42])
    #expect(pending() == 0b10)
    write(0, 16)
    #expect(deliveries(1) == [0x41])
    #expect(pending() == 0)
  }

  @Test func aResetForgets() {
    enable()
    write(0b10, 16)
    msi.signal(1)
    configuration.reset()
    msi.reset()
    #expect(!msi.isEnabled)
    enable()
    #expect(deliveries(1) == [] && pending() == 0)
  }

  @Test func thePinStaysLowWhileItIsUsed() throws {
    let line = RecordingLine()
    let profile = PCIDeviceProfile(
      "copier",
      CopyingDevice.model.profile.identity,
      regions: CopyingDevice.model.profile.regions,
      vectorCount: 4,
      messageKind: .msi
    )
    let function = try PCIDeviceFunction(
      PCIDeviceModel(profile) { CopyingDevice($0) },
      memory: try GuestMemory(count: 1 << 16),
      line: line,
      messages: messages
    ) { _ in }
    let offset = try #require(function.msi?.offset)
    #expect(function.msix == nil)
    #expect(function.configuration.bars.count == 2)
    function.writeBAR(1, BusAccess(region: 0, offset: 0x18, width: 4))
    #expect(line.isAsserted)
    function.writeRegisters(0x21, offset + 2, width: 2)
    function.followConfiguration()
    #expect(!line.isAsserted)
    function.writeRegisters(0xFEE0_0000, offset + 4, width: 8)
    function.writeRegisters(0x50, offset + 12, width: 2)
    function.followConfiguration()
    function.writeBAR(1, BusAccess(region: 0, offset: 0x18, width: 4))
    #expect(messages.made[5].deliveries.map(\.data).last == 0x51)
    function.writeRegisters(0b10, offset + 16, width: 4)
    function.followConfiguration()
    function.writeBAR(1, BusAccess(region: 0, offset: 0x18, width: 4))
    #expect(function.readRegisters(offset + 20, width: 4) == 0b10)
    function.resetWhole()
    #expect(function.msi?.isEnabled == false)
  }
}
