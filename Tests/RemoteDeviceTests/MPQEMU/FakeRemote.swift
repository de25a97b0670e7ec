import GuestMemory
import HostOS
import Synchronization
import TestSupport

@testable import RemoteDevice

/// A remote that answers as a test has it answer, and remembers what it was told.
final class FakeRemote {
  /// What is sent for a message: whole messages, one behind the other; `nil` ends the connection.
  typealias Answer = @Sendable (MPQEMUMessage) -> [UInt8]?

  private final class Heard: Sendable {
    let messages = Mutex<[MPQEMUMessage]>([])
    let descriptors = Mutex<[KeptDescriptor]>([])

    func note(_ message: MPQEMUMessage, _ new: [KeptDescriptor]) {
      messages.withLock { $0.append(message) }
      descriptors.withLock { $0 += new }
    }
  }

  let path: String
  private let folder: TemporaryFolder
  private let all = Heard()
  private let stop: EventFD
  private var thread: TestThread?

  /// All that it was told so far.
  var heard: [MPQEMUMessage] { all.messages.withLock { $0 } }
  /// The descriptors that came, in order.
  var received: [KeptDescriptor] { all.descriptors.withLock { $0 } }

  init(_ generation: MPQEMUGeneration = .current, _ answer: @escaping Answer) throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "socket")
    let stop = try EventFD()
    self.stop = stop
    let all = all
    let listener = Mutex<UnixListener?>(try UnixListener(path: path))
    thread = try TestThread {
      guard let listener = listener.withLock({ $0.take() }) else { return }
      var list = PollList()
      let place = list.add(listener.rawValue, for: .readable)
      _ = list.add(stop.rawValue, for: .readable)
      list.wait()
      guard list.isReady(place), let socket = listener.accept() else { return }
      var channel = MPQEMUChannel(socket)
      while true {
        var list = PollList()
        _ = list.add(channel.rawValue, for: .readable)
        let end = list.add(stop.rawValue, for: .readable)
        list.wait()
        if list.isReady(end) { return }
        guard (try? Self.serve(&channel, generation, answer, all)) == true else { return }
      }
    }
  }

  deinit { hangUp() }

  /// Ends the connection.
  func hangUp() {
    stop.signal()
    thread?.join()
  }

  private static func serve(
    _ channel: inout MPQEMUChannel,
    _ generation: MPQEMUGeneration,
    _ answer: Answer,
    _ heard: Heard
  ) throws -> Bool {
    while true {
      let incoming = try channel.receive()
      switch consume incoming {
      case .nothing: return true
      case .end: return false
      case .packet(var packet):
        let message = try MPQEMUMessage(
          packet.header,
          packet.payload,
          descriptors: packet.descriptors.count,
          in: generation
        )
        var new: [KeptDescriptor] = []
        while let descriptor = packet.descriptors.takeFirst() {
          new.append(KeptDescriptor(descriptor))
        }
        heard.note(message, new)
        guard let bytes = answer(message) else { return false }
        if !bytes.isEmpty { try channel.send(bytes) }
      }
    }
  }
}

/// A device of a remote: the registers of a conventional function, with one BAR of each kind.
final class FakeRemoteDevice: Sendable {
  private struct State {
    var registers = [UInt8](repeating: 0, count: 256)
    var written: [UInt64: UInt64] = [:]
  }

  private let state = Mutex(State())
  private let generation: MPQEMUGeneration
  /// Where the address bits of each BAR's register are.
  private static let masks: [UInt32] = [
    0xFFFF_FF00, 0xFFFF_F000, 0xFFFF_0000, 0xFFFF_FFFF, 0, 0,
  ]
  private static let types: [UInt32] = [1, 0, 0xC, 0, 0, 0]

  init(_ generation: MPQEMUGeneration = .current) {
    self.generation = generation
    state.withLock { state in
      state.registers[0] = 0x36
      state.registers[1] = 0x1B
      state.registers[2] = 0x05
      state.registers[0x0B] = 0xFF
      state.registers[0x3D] = 1
      for (index, type) in Self.types.enumerated() {
        state.registers[0x10 + 4 * index] = UInt8(type)
      }
    }
  }

  /// Forgets what a driver has set (PCI 3.0, 6.2).
  func reset() {
    state.withLock { state in
      for index in 0x04..<0x08 { state.registers[index] = 0 }
      for (index, type) in Self.types.enumerated() {
        state.registers.replaceSubrange(
          (0x10 + 4 * index)..<(0x14 + 4 * index),
          with: [UInt8(type), 0, 0, 0]
        )
      }
      state.registers[0x0C] = 0
      state.registers[0x3C] = 0
    }
  }

  /// The bytes of a register.
  func register(_ offset: Int, _ width: Int) -> UInt64 {
    state.withLock { state in
      (0..<width).reduce(0) { $0 | UInt64(state.registers[offset + $1]) << UInt64(8 * $1) }
    }
  }

  func answer(_ message: MPQEMUMessage) -> [UInt8] {
    let value: UInt64?
    switch message {
    case .readConfiguration(let access):
      value = register(Int(access.address), Int(access.width))
    case .writeConfiguration(let access):
      write(access)
      value = 0
    case .readBAR(let access):
      value = state.withLock { $0.written[access.address] ?? access.address }
    case .writeBAR(let access):
      state.withLock { $0.written[access.address] = access.value }
      value = 0
    case .reset: value = nil
    case .ping: value = 0
    default: return []
    }
    return MPQEMUMessage.reply(value).bytes(in: generation)
  }

  private func write(_ access: MPQEMUConfigurationAccess) {
    state.withLock { state in
      for index in 0..<Int(access.width) {
        let place = Int(access.address) + index
        var byte = UInt8(truncatingIfNeeded: access.value >> UInt32(8 * index))
        if (0x10..<0x28).contains(place) {
          let (bar, shift) = ((place - 0x10) / 4, UInt32(place % 4 * 8))
          byte &= UInt8(truncatingIfNeeded: Self.masks[bar] >> shift)
          byte |= UInt8(truncatingIfNeeded: Self.types[bar] >> shift)
        } else if place < 4 || (0x08..<0x0C).contains(place) || place == 0x3D {
          continue
        }
        state.registers[place] = byte
      }
    }
  }
}
