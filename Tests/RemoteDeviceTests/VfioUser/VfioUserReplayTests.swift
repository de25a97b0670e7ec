import GuestMemory
import HostOS
import Testing
import TestSupport

/// What QEMU said to another server, said to this one.
@Suite(.timeLimit(.minutes(5))) struct VfioUserReplayTests {
  typealias Client = VfioUserTestClient

  @Test(arguments: ["kvm", "tcg", "msix-tcg"])
  func qemuIsAnsweredAsItExpects(name: String) throws {
    let recording = try VfioUserRecording("vfio-user-qemu11.1-\(name)")
    let rig = try VfioUserDiskRig()
    let file = try MemoryFile(count: 256 << 20)
    let event = try EventFD()
    var count = 0

    for message in recording.messages where !message.isServers {
      let header = Header(message.bytes)
      guard !header.isReply else { continue }
      var payload = Array(message.bytes.dropFirst(16))
      if header.command == 1 {
        // Only its beginning was recorded.
        payload = [0, 0, 0, 0] + Array(Client.greeting.utf8)
        payload += [UInt8](repeating: 0x20, count: Int(header.size) - 17 - payload.count) + [0]
      } else if !message.isWhole {
        continue
      }
      let descriptor = header.command == 2 ? file.descriptor.rawValue : event.rawValue
      try rig.client.send(
        header.command,
        payload,
        descriptors: [Int32](repeating: descriptor, count: message.descriptors),
        flags: header.flags,
        id: header.id
      )
      guard header.flags & 0x10 == 0 else { continue }
      let reply = try rig.client.receive()
      #expect(reply.isReply && reply.id == header.id && reply.command == header.command)
      // The device was another one: its regions and vectors are not ours.
      let isOthers = [UInt16(8), 9, 10].contains(header.command)
      #expect(reply.flags & 0x20 == 0 || isOthers, "\(header) \(reply.errorNumber)")
      if header.command == 1 { #expect(reply.payload.count <= Int(header.size) - 16) }
      count += 1
    }

    #expect(count > 100)
    #expect(!rig.rig.log.notices.contains { $0.contains("cut off") })
  }

  private struct Header {
    let id: UInt16
    let command: UInt16
    let size: UInt32
    let flags: UInt32

    init(_ bytes: [UInt8]) {
      id = Client.word(bytes, at: 0, as: UInt16.self)
      command = Client.word(bytes, at: 2, as: UInt16.self)
      size = Client.word(bytes, at: 4, as: UInt32.self)
      flags = Client.word(bytes, at: 8, as: UInt32.self)
    }

    var isReply: Bool { flags & 0xF == 1 }
  }
}
