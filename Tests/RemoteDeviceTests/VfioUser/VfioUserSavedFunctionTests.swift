import Glibc
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// A machine saves a function with its server's device, or is told why it cannot.
@Suite(.timeLimit(.minutes(5))) struct VfioUserSavedFunctionTests {
  typealias Answer = FakeVfioUserServer.Answer

  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "socket")
  }

  /// In which states the server was asked to bring the device, and what came between.
  private func steps(_ server: FakeVfioUserServer) -> [String] {
    server.requests.compactMap { request in
      switch request {
      case .feature(let feature): feature.data.first.map { "state \($0)" }
      case .readMigrationData: "read"
      case .writeMigrationData: "write"
      case .writeRegion(let access, _): "register \(access.offset)"
      default: nil
      }
    }
  }

  @Test func theServersStateIsPartOfTheFunctions() throws {
    let server = try FakeVfioUserServer(at: path)
    let rig = try VfioUserBoardRig(at: path)
    #expect(try rig.remote.offersMigration())
    rig.enable()
    rig.setRegister(0x72, 0x8000, width: 2)
    let function = try #require(rig.function as? VfioUserFunction)
    let count = steps(server).count
    function.pause()
    let state = try function.saveState()
    function.resume()
    #expect(
      steps(server)[count...] == ["state 1", "state 3", "read", "state 1", "state 2"]
    )
    #expect(try PCIFunctionState(bytes: state).device == [UInt8](repeating: 0x5A, count: 3000))
    server.close()

    let other = folder.path(of: "other")
    let next = try FakeVfioUserServer(at: other)
    defer { next.close() }
    let board = try VfioUserBoardRig(at: other)
    let restored = try #require(board.function as? VfioUserFunction)
    restored.pause()
    try restored.restoreState(state)
    board.bus.followConfiguration(at: VfioUserBoardRig.address)
    restored.resume()
    #expect(next.held.withLock { $0.incoming } == [UInt8](repeating: 0x5A, count: 3000))
    // The device's state first, then the registers, of which the command is the last.
    let order = steps(next)
    #expect(order.prefix(4) == ["state 1", "state 4", "write", "state 1"])
    #expect(order.suffix(2) == ["register 4", "state 2"])
    #expect(next.held.withLock { $0.registers[4] } == 0b110)
    #expect(next.held.withLock { $0.vectors.count } == 3)
    #expect(board.register(0x72, width: 2) == 0x8002)
    #expect(!board.doorbells.attached.isEmpty)
    #expect(next.held.withLock { $0.vectors[1] }?.drain() == 0)
    restored.signalRestart()
    #expect(next.held.withLock { $0.vectors[1] }?.drain() == 1)
  }

  @Test(arguments: [false, true])
  func aServerThatCannotSayItsStateIsNotSaved(_ saysSo: Bool) throws {
    let no = Answer.payload([16, 0, 0, 0, 1, 0, 1, 0] + [2, 0, 0, 0, 0, 0, 0, 0])
    let server = try FakeVfioUserServer(at: path, [.feature: saysSo ? no : .refusal(ENOTTY)])
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    #expect(try !rig.remote.offersMigration())
    let function = try #require(rig.function as? VfioUserFunction)
    function.pause()
    if !saysSo { #expect(throws: PCIStateError.self) { try function.saveState() } }
  }

  // Made anew for each use: the address sanitizer takes what a kept list holds for leaked.
  static var answers: [(VfioUserCommand, Answer)] {
    [
      (.feature, .payload([8, 0, 0, 0])), (.feature, .payload([8, 0, 0, 0, 7, 0, 0, 0])),
      (.feature, .descriptors([8, 0, 0, 0, 2, 0, 2, 0], 1)),
      (.readMigrationData, .payload([])),
      (.readMigrationData, .payload([16, 0, 0, 0, 9, 0, 0, 0, 1])),
      (.readMigrationData, .payload([8, 0, 0, 0, 0, 0, 0x20, 0])),
      (.readMigrationData, .end), (.readMigrationData, .twice), (.readMigrationData, .refusal(EIO)),
    ]
  }

  @Test(arguments: answers.indices)
  func whatItSaysWrongIsNoState(_ index: Int) throws {
    let (command, answer) = Self.answers[index]
    let server = try FakeVfioUserServer(at: path, [command: answer])
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    let function = try #require(rig.function as? VfioUserFunction)
    function.pause()
    if case .twice = answer {
      _ = try? function.saveState()
      #expect(rig.waitForLine("server cut off"))
      return
    }
    #expect(throws: PCIStateError.self) { try function.saveState() }
    function.resume()
  }

  @Test func aDeviceThatDoesNotTakeItsStateIsSaidSo() throws {
    let server = try FakeVfioUserServer(at: path)
    let rig = try VfioUserBoardRig(at: path)
    let function = try #require(rig.function as? VfioUserFunction)
    function.pause()
    let state = try function.saveState()
    server.close()
    let other = folder.path(of: "other")
    let next = try FakeVfioUserServer(at: other, [.writeMigrationData: .refusal(EINVAL)])
    defer { next.close() }
    let board = try VfioUserBoardRig(at: other)
    let restored = try #require(board.function as? VfioUserFunction)
    restored.pause()
    let error = #expect(throws: PCIStateError.self) { try restored.restoreState(state) }
    #expect(error?.description.contains("MIG_DATA_WRITE refused") == true)
  }
}
