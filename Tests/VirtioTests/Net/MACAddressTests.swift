import Testing
import Virtio

/// Addresses of network interfaces.
@Suite struct MACAddressTests {
  @Test(arguments: ["52:54:00:12:34:56", "00:00:00:00:00:0a", "ff:ff:ff:ff:ff:ff"])
  func anAddressIsReadAsItIsWritten(text: String) throws {
    let address = try #require(MACAddress(text))
    #expect(address.description == text)
    #expect(MACAddress(address.bytes) == address)
    #expect(address.isMulticast == (text == "ff:ff:ff:ff:ff:ff"))
  }

  @Test(arguments: [
    "", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5", "52:54:00:12:34:+5",
    "52:54:00:12:34:5g", "52-54-00-12-34-56", "5254.0012.3456",
  ])
  func whatIsNoAddressIsRefused(text: String) {
    #expect(MACAddress(text) == nil)
  }

  @Test func missingBytesAreZeroes() {
    #expect(MACAddress([0x52, 0x54]) == MACAddress(0x5254_0000_0000))
    #expect(MACAddress([1, 2, 3, 4, 5, 6, 7]) == MACAddress(0x0102_0304_0506))
  }
}
