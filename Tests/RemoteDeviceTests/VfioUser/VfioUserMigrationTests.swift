import Glibc
import GuestMemory
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// A client takes the state of a device out of one server and puts it into another (VFIO's migration, second form).
@Suite(.timeLimit(.minutes(5))) struct VfioUserMigrationTests {
  typealias Client = VfioUserTestClient

  private static let (error, stop, running, stopCopy, resuming):
    (UInt32, UInt32, UInt32, UInt32, UInt32) =
      (0, 1, 2, 3, 4)

  @Test func whatIsOfferedIsFoundByProbing() throws {
    let rig = try VfioUserDiskRig()
    let client = rig.client
    try client.greet()
    for flags in [1 | 4 << 16, 1 | 5 << 16, 2 | 4 << 16, 2 | 7 << 16] as [UInt32] {
      #expect(try client.ask(16, Client.words(UInt32(8), flags)).count == 8)
    }
    // STOP_COPY alone.
    let answer = try client.ask(16, Client.words(UInt32(16), UInt32(1 | 1 << 16)))
    #expect(answer == Client.words(UInt32(16), UInt32(1 | 1 << 16), UInt64(1)))
    for flags in [1 | 2 << 16, 3 | 1 << 16, 6 | 4 << 16, 1 | 6 << 16] as [UInt32] {
      #expect(throws: Client.Failure.refused(UInt32(ENOTTY))) {
        try client.ask(16, Client.words(UInt32(16), flags, UInt64(0)))
      }
    }
    for flags in [1, 2 | 3 << 16, 1 | 1 << 16 | 1 << 20] as [UInt32] {
      #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
        try client.ask(16, Client.words(UInt32(16), flags, UInt64(0)))
      }
    }
    #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
      try client.ask(16, Client.words(UInt32(15), UInt32(1 | 1 << 16)))
    }
  }

  @Test func eachStateIsReachedFromEachOther() throws {
    let rig = try VfioUserDiskRig()
    let client = rig.client
    try client.greet()
    #expect(try client.migrationState() == Self.running)
    for first in [Self.stop, Self.running, Self.stopCopy] {
      for second in [Self.stop, Self.running, Self.stopCopy, Self.resuming] {
        try client.setMigrationState(first)
        #expect(try client.migrationState() == first)
        try client.setMigrationState(second)
        #expect(try client.migrationState() == second)
        if second == Self.resuming { try client.ask(13) }
      }
    }
    // ERROR is not to be asked for; P2P and PRE_COPY are not offered; others are none.
    for state in [Self.error, 5, 6, 7, 8, .max] as [UInt32] {
      #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
        try client.setMigrationState(state)
      }
      #expect(try client.migrationState() == Self.running)
    }
  }

  @Test func aDiskGoesOnInAnotherServer() throws {
    let first = try VfioUserDiskRig()
    let queue = try first.start(vector: 1)
    #expect(try first.readsSector(3, queue))
    // Asked for while the device stands still: nobody has taken it yet.
    try first.client.setMigrationState(Self.stop)
    let (buffers, data) = try first.readRequest(7)
    try queue.add(buffers)
    try first.client.setMigrationState(Self.stopCopy)
    let state = try first.client.readState(step: 100)
    #expect(try first.client.ask(17, Client.words(UInt32(108), UInt32(100))).count == 8)

    let second = try VfioUserDiskRig()
    try second.client.greet()
    for region in first.memory.regions {
      let file = first.memory.file.borrow { $0.rawValue } ?? -1
      try second.client.ask(
        2,
        Client.mapping(region.start.rawValue, region.count, offset: region.fileOffset),
        descriptors: [file]
      )
    }
    try second.client.ask(
      8,
      Client.interrupts(0x24, 2, count: 2),
      descriptors: second.vectors.map(\.rawValue)
    )
    try second.client.setMigrationState(Self.resuming)
    try second.client.writeState(state, step: 77)
    try second.client.setMigrationState(Self.running)
    first.rig.client = second.client
    // The request that waited is done now, and others after it.
    let isDone = waitUntil { (try? queue.takeUsed()) != nil }
    #expect(isDone)
    #expect(try first.hasSector(7, at: data))
    #expect(waitUntil { second.vectors[1].drain() > 0 })
    #expect(try first.readsSector(9, queue))
  }

  @Test func aDeviceThatStandsStillTakesNothing() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    try rig.client.setMigrationState(Self.stop)
    #expect(throws: Client.Failure.refused(UInt32(EBUSY))) {
      try rig.client.readRegion(0, 0, count: 4)
    }
    #expect(try rig.client.readRegion(7, 0, count: 4) == [0xF4, 0x1A, 0x42, 0x10])
    // Neither a kick nor other memory has it go on.
    let (buffers, data) = try rig.readRequest(5)
    try queue.add(buffers)
    for region in rig.memory.regions { try rig.unmap(region) }
    try rig.mapMemory()
    #expect(try queue.takeUsed() == nil)
    try rig.client.setMigrationState(Self.running)
    let isDone = waitUntil { (try? queue.takeUsed()) != nil }
    #expect(isDone)
    #expect(try rig.hasSector(5, at: data))
  }

  // What a client writes as a state, from one that is.
  static let broken: [@Sendable ([UInt8]) -> [UInt8]] = [
    { _ in [] }, { Array($0.dropLast()) }, { $0 + [0] }, { Array($0.prefix(9)) },
    { [$0[0] ^ 1] + $0.dropFirst() }, { [UInt8](repeating: 0xFF, count: $0.count) },
  ]

  @Test(arguments: broken.indices)
  func aStateThatIsNoneLeavesADeviceThatIsToBeReset(_ index: Int) throws {
    let rig = try VfioUserDiskRig()
    _ = try rig.start()
    try rig.client.setMigrationState(Self.stopCopy)
    let state = try rig.client.readState(step: 1 << 16)
    try rig.client.setMigrationState(Self.resuming)
    try rig.client.writeState(Self.broken[index](state), step: 1 << 16)
    #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
      try rig.client.setMigrationState(Self.running)
    }
    #expect(try rig.client.migrationState() == Self.error)
    #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
      try rig.client.setMigrationState(Self.running)
    }
    #expect(throws: Client.Failure.refused(UInt32(EBUSY))) {
      try rig.client.readRegion(0, 0, count: 4)
    }
    try rig.client.ask(13)
    #expect(try rig.client.migrationState() == Self.running)
    rig.makeDriver()
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(try rig.readsSector(2, queue))
    #expect(rig.rig.waitForLine("DEVICE_FEATURE: "))
  }

  @Test func dataOutOfTurnAreRefused() throws {
    let rig = try VfioUserDiskRig()
    let client = rig.client
    try client.greet()
    let refusal = Client.Failure.refused(UInt32(EINVAL))
    for state in [Self.running, Self.stop, Self.stopCopy] {
      try client.setMigrationState(state)
      #expect(throws: refusal) { try client.writeState([1], step: 1) }
      if state == Self.stopCopy { continue }
      #expect(throws: refusal) { try client.ask(17, Client.words(UInt32(16), UInt32(8))) }
    }
    // More than there is room for, by the client's own word.
    #expect(throws: refusal) { try client.ask(17, Client.words(UInt32(15), UInt32(8))) }
    try client.setMigrationState(Self.resuming)
    #expect(throws: refusal) { try client.ask(17, Client.words(UInt32(16), UInt32(8))) }
  }

  @Test func aStateWithoutAnEndIsRefused() throws {
    let rig = try VfioUserRig { try CopyingDevice.model.makeFunction($0) }
    let client = rig.client
    try client.greet()
    try client.setMigrationState(Self.resuming)
    let piece = [UInt8](repeating: 0, count: 1 << 20)
    for _ in 0..<64 { try client.writeState(piece, step: piece.count) }
    #expect(throws: Client.Failure.refused(UInt32(EFBIG))) { try client.writeState([0], step: 1) }
    try client.ask(13)
    #expect(try client.migrationState() == Self.running)
  }

  static let breaches: [(UInt16, [UInt8], String)] = [
    (16, Client.words(UInt32(8)), "DEVICE_FEATURE with 4 bytes"),
    (16, Client.words(UInt32(12), UInt32(2 | 2 << 16), UInt32(1)), "4 bytes for a state"),
    (17, Client.words(UInt32(8)), "MIG_DATA_READ with 4 bytes"),
    (17, Client.words(UInt32.max, UInt32(2 << 20)), "2097152 bytes of data"),
    (17, Client.words(UInt32(16), UInt32(0), UInt64(0)), "MIG_DATA_READ with 16 bytes"),
    (18, Client.words(UInt32(12), UInt32(5), UInt32(0)), "5 bytes of data in 4"),
    (18, Client.words(UInt32(12), UInt32.max, UInt32(0)), "4294967295 bytes of data"),
  ]

  @Test(arguments: breaches.indices)
  func whatIsOfNoFormCutsTheClientOff(_ index: Int) throws {
    let (command, payload, line) = Self.breaches[index]
    let rig = try VfioUserDiskRig()
    try rig.client.greet()
    try rig.client.setMigrationState(Self.stop)
    try rig.client.send(command, payload)
    try rig.client.waitForEnd()
    #expect(rig.rig.waitForLine(line))
    // The next finds a device that runs.
    try rig.rig.reconnect()
    try rig.client.greet()
    #expect(try rig.client.migrationState() == Self.running)
  }
}

extension VfioUserTestClient {
  /// In which state the device is.
  func migrationState() throws -> UInt32 {
    Self.word(try ask(16, Self.words(UInt32(16), UInt32(2 | 1 << 16))), at: 8, as: UInt32.self)
  }

  /// Asks for a state.
  func setMigrationState(_ state: UInt32) throws {
    let request = Self.words(UInt32(16), UInt32(2 | 2 << 16), state, UInt32.max)
    guard try ask(16, request) == request else {
      throw Failure.badReply(command: 16, flags: 1, size: 0)
    }
  }

  /// Reads the state of a device in STOP_COPY, in pieces.
  func readState(step: UInt32) throws -> [UInt8] {
    var state: [UInt8] = []
    while true {
      let part = try ask(17, Self.words(step + 8, step))
      guard part.count >= 8, Self.word(part, at: 4, as: UInt32.self) == UInt32(part.count - 8)
      else { throw Failure.badReply(command: 17, flags: 1, size: UInt32(part.count)) }
      state += part.dropFirst(8)
      if part.count < 8 + Int(step) { return state }
    }
  }

  /// Writes a state to a device in RESUMING, in pieces.
  func writeState(_ state: [UInt8], step: Int) throws {
    var rest = state[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(step))
      rest = rest.dropFirst(part.count)
      try ask(18, Self.words(UInt32(8 + part.count), UInt32(part.count)) + part)
    }
  }
}
