import Interrupts
import Testing

/// The interface as it was first proposed.
@Suite struct FLICFirstGenerationTests {
  private let bench = FLICBench()

  @Test func itsGroupsHaveTheirOwnNumbers() {
    #expect(FirstFLICGroup.allCases.map(\.rawValue) == [1, 2, 3])
    #expect(FirstFLICGroup.dequeue.rawValue == 1)
    #expect(FirstFLICGroup.enqueue.rawValue == 2)
    #expect(FirstFLICGroup.clearIRQs.rawValue == 3)
  }

  @Test func oneIsAddedAndOneIsTaken() throws {
    try bench.setFirst(2, Record.io(3, isc: 2, parameter: 5))

    #expect(try bench.getFirst(1) == Record.io(3, isc: 2, parameter: 5))
    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(1) } == 61)
  }

  @Test func theyAreTakenInTheOrderOfDelivery() throws {
    for record in [
      Record.io(1, isc: 7), Record.io(2, isc: 1), Record.io(3, isc: 7), Record.io(4, isc: 1),
      Record.virtio(5), Record.virtio(6), Record.service(0x1001), Record.machineCheck(1),
    ] { try bench.setFirst(2, record) }

    let taken = try (0..<8).map { _ in try bench.getFirst(1) }

    #expect(
      taken == [
        Record.machineCheck(1), Record.service(0x1001), Record.virtio(5), Record.virtio(6),
        Record.io(2, isc: 1), Record.io(4, isc: 1), Record.io(1, isc: 7), Record.io(3, isc: 7),
      ]
    )
  }

  @Test func whatDoesNotFitRemainsPending() throws {
    try bench.setFirst(2, Record.service(8))

    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(1, room: 71) } == 14)
    #expect(
      try bench.getFirst(1, room: 100) == Record.service(8) + [UInt8](repeating: 0xEE, count: 28)
    )
  }

  @Test func clearingDeletesAll() throws {
    try bench.setFirst(2, Record.service(8))
    try bench.setFirst(2, Record.io(1, isc: 1))

    try bench.setFirst(3)

    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(1) } == 61)
  }

  @Test func aTruncatedRecordFaults() throws {
    let truncated = Array(Record.service(8).dropLast())

    #expect(bench.code { () throws(FLICError) in try bench.setFirst(2, truncated) } == 14)
    #expect(bench.flic.pendingCount == 0)
  }

  @Test func typesThatItDidNotHaveAreInvalid() throws {
    for type in FLICGroupTests.strangeTypes + [0xFFFE_0005] {
      let record = Record.external(type, 0, 0)
      #expect(bench.code { () throws(FLICError) in try bench.setFirst(2, record) } == 22)
    }
    #expect(bench.flic.pendingCount == 0)
  }

  @Test(arguments: [UInt32(0), 4, 5, 11, .max])
  func otherGroupsAreInvalid(group: UInt32) {
    #expect(bench.code { () throws(FLICError) in try bench.setFirst(group) } == 22)
    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(group) } == 22)
  }

  @Test func whatIsSetIsNotGotAndTheReverse() throws {
    try bench.setFirst(2, Record.service(8))

    #expect(bench.code { () throws(FLICError) in try bench.setFirst(1, Record.service(8)) } == 22)
    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(2) } == 22)
    #expect(bench.code { () throws(FLICError) in _ = try bench.getFirst(3) } == 22)
    #expect(bench.flic.pendingCount == 1)
  }

  @Test func itCannotBeAskedWhatItHas() {
    for group: UInt32 in 0...4 {
      #expect(throws: FLICError.notPermitted) {
        try bench.flic.hasAttribute(firstGeneration: group)
      }
    }
  }

  @Test func itKeepsTheLimits() throws {
    var configuration = FLICConfiguration()
    configuration.ioLimit = 1
    let bench = FLICBench(configuration)
    try bench.setFirst(2, Record.io(1, isc: 1))

    #expect(
      bench.code { () throws(FLICError) in try bench.setFirst(2, Record.io(2, isc: 1)) } == 16
    )
  }
}
