import Benchmark
import DeviceModel

private final class ValueDevice: BusDevice {
  func read(_ access: BusAccess) -> UInt64 { access.offset }
  func write(_ value: UInt64, _ access: BusAccess) {}
}

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .throughput],
    scalingFactor: .kilo
  )

  for count in [1, 100, 10_000] as [UInt64] {
    let bus = Bus()
    for index in 0..<count {
      _ = try? bus.register(
        ValueDevice(),
        name: "\(index)",
        at: [BusRange(index * 0x1000, size: 0x100)]
      )
    }
    let view = BusView(of: bus)
    let middle = count / 2 * 0x1000

    Benchmark("Read, \(count) devices") { benchmark in
      for _ in benchmark.scaledIterations { blackHole(view.read(middle, width: 4)) }
    }
    Benchmark("Write, \(count) devices") { benchmark in
      for _ in benchmark.scaledIterations { view.write(1, at: middle, width: 4) }
    }
    Benchmark("Read nobody, \(count) devices") { benchmark in
      for _ in benchmark.scaledIterations { blackHole(view.read(middle + 0x800, width: 4)) }
    }
    Benchmark("Read split, \(count) devices") { benchmark in
      for _ in benchmark.scaledIterations { blackHole(view.read(middle + 0xFE, width: 4)) }
    }
    Benchmark("Register and remove, \(count) devices", configuration: .init(scalingFactor: .one)) {
      benchmark in
      for _ in benchmark.scaledIterations {
        guard
          let ticket = try? bus.register(
            ValueDevice(),
            name: "new",
            at: [BusRange(middle + 0x800, size: 8)]
          )
        else { return }
        bus.remove(ticket)
      }
    }
  }
}
