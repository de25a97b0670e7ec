import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// Requests at random, many at once, against a plain array of bytes.
@Suite(.timeLimit(.minutes(5))) struct DiskModelTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let engine: DiskImage.Engine
    let place: DiskPlace
    var isDirect = false
    var features: VirtioFeatures = []

    var testDescription: String {
      "\(engine.rawValue) on \(place.rawValue)\(isDirect ? ", direct" : "")"
        + (features.isEmpty ? "" : ", writing through")
    }
  }

  static let engines: [DiskImage.Engine] = [.ring, .calls]

  static let cases: [Case] =
    DiskPlace.allCases.flatMap { place in
      [DiskImage.Engine.ring, .calls].map { Case(engine: $0, place: place) }
    } + [
      Case(engine: .ring, place: .disk, isDirect: true),
      Case(engine: .calls, place: .disk, isDirect: true),
      Case(engine: .ring, place: .disk, features: .blockFlush),
      Case(engine: .auto, place: .memory, features: .packedRing),
    ]

  /// Requests of single sectors share a block, of which each must leave the rest as it is.
  @Test(.enabled(if: LoopDevice.isThere, "there are no loop devices"), arguments: engines)
  func sectorsThatShareABlockStayApart(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", DiskModel.content)
    let device = try LoopDevice(path, blockSize: 4096)
    let model = try DiskModel(
      device.path,
      DiskImage.Options(isDirect: true, engine: engine),
      in: folder,
      seed: 7
    )
    #expect(model.blockSize == 4096)
    try model.run(count: 3000)
    try model.check()
  }

  @Test(arguments: cases)
  func theDiskHoldsWhatAnArrayWould(of test: Case) throws {
    let folder = try test.place.makeFolder()
    let model = try DiskModel(
      try folder.file("disk", DiskModel.content),
      DiskImage.Options(isDirect: test.isDirect, engine: test.engine),
      without: test.features,
      in: folder,
      seed: 42
    )
    try model.run(count: test.features.contains(.blockFlush) ? 1000 : 10_000)
    try model.check()
  }
}
