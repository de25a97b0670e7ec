import Glibc
import GuestMemory
import HostOS

@testable import RemoteDevice

/// A proxy that says what a test has it say.
final class ScriptedProxy {
  private var channel: MPQEMUChannel
  private let socket: OwnedFileDescriptor
  let generation: MPQEMUGeneration

  init(
    _ socket: consuming OwnedFileDescriptor,
    _ generation: MPQEMUGeneration = .current
  ) throws {
    self.socket = try socket.duplicated()
    channel = MPQEMUChannel(socket)
    self.generation = generation
  }

  private var deadline: MPQEMUDeadline { MPQEMUDeadline(milliseconds: 30_000) }

  func tell(_ message: MPQEMUMessage, _ descriptors: [Int32] = []) throws {
    try channel.send(message, descriptors, in: generation, deadline)
  }

  @discardableResult
  func ask(_ message: MPQEMUMessage, _ descriptors: [Int32] = []) throws -> UInt64 {
    try tell(message, descriptors)
    return try reply()
  }

  func reply() throws -> UInt64 {
    try channel.receiveReply(to: .reply, in: generation, deadline)
  }

  /// Sends bytes as they are.
  func send(_ bytes: [UInt8], _ descriptors: [Int32] = []) throws {
    _ = try SocketIO.send(socket.rawValue, bytes[...], descriptors: descriptors)
  }

  /// Says nothing more; what is sent to it is still read.
  func hangUp() { _ = shutdown(socket.rawValue, Int32(SHUT_WR)) }

  /// Whether the connection ends, with nothing more said on it.
  func isCutOff() -> Bool {
    (try? channel.receiveReply(to: .reply, in: generation, deadline)) == nil
  }

  /// Shares all memory, or the regions that begin at `starts` only.
  func share(_ memory: GuestMemory, only starts: [UInt64]? = nil) throws {
    let regions = memory.regions.filter { starts?.contains($0.start.rawValue) ?? true }
    let file = memory.file.borrow { $0.rawValue } ?? -1
    try tell(
      .syncMemory(
        regions.map {
          MPQEMURegion(address: $0.start.rawValue, size: $0.count, offset: $0.fileOffset)
        }
      ),
      regions.map { _ in file }
    )
  }

  func read(_ offset: UInt32, _ width: Int32) throws -> UInt64 {
    try ask(.readConfiguration(MPQEMUConfigurationAccess(address: offset, width: width)))
  }

  @discardableResult
  func write(_ value: UInt32, _ offset: UInt32, _ width: Int32) throws -> UInt64 {
    try ask(
      .writeConfiguration(
        MPQEMUConfigurationAccess(address: offset, value: value, width: width)
      )
    )
  }

  func readMemory(_ address: UInt64, _ width: UInt32) throws -> UInt64 {
    try ask(.readBAR(MPQEMUBARAccess(address: address, width: width, isMemory: true)))
  }

  @discardableResult
  func writeMemory(_ value: UInt64, _ address: UInt64, _ width: UInt32) throws -> UInt64 {
    try ask(
      .writeBAR(MPQEMUBARAccess(address: address, value: value, width: width, isMemory: true))
    )
  }
}
