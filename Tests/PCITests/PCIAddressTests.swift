import PCI
import Testing

@Test func anAddressIsPrintedAsLinuxPrintsIt() {
  #expect(PCIAddress(bus: 0, device: 0x1F, function: 3).description == "00:1f.3")
  #expect(PCIAddress(bus: 0xA0, device: 2).description == "a0:02.0")
}

@Test func everyRequesterIDIsAnAddress() {
  let address = PCIAddress(requesterID: 0x12FE)

  #expect(address == PCIAddress(bus: 0x12, device: 31, function: 6))
  #expect(address.bus == 0x12)
  #expect(address.device == 31)
  #expect(address.function == 6)
}

@Test(
  arguments: [
    (1, PCIInterruptPin.Pin.a, 17), (1, .b, 18), (4, .d, 23), (5, .d, 16), (31, .a, 23),
  ]
)
func pinsAreSwizzledOverEightInputs(device: UInt8, pin: PCIInterruptPin.Pin, gsi: UInt32) {
  #expect(PCIInterruptRouting.gsi(device: device, pin: pin) == gsi)
  #expect(PCIInterruptRouting.index(device: device, pin: pin) == Int(gsi) - 16)
}
