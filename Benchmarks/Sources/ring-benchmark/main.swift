// Compares the device's side of a virtqueue with the same in C, under one driver in C.
//
//   swift run -c release --package-path Benchmarks ring-benchmark [ROUNDS] [SHAPE [one]]
//
// SHAPE is the beginning of a row's name, such as 'split direct'; 'one' leaves two threads out. With the driver on the same thread only the device's part is timed; with the driver on a thread of its own, all of it.

import CRingPeer
import Glibc

/// A clock that runs always, in nanoseconds.
func now() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

func column(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}

/// `value` with so many digits after the point, set to the right.
func fixed(_ value: Double, _ digits: Int, _ width: Int) -> String {
  let factor = digits == 1 ? 10 : 100
  let rounded = Int((value * Double(factor)).rounded())
  let fraction = String(rounded % factor)
  let zeroes = String(repeating: "0", count: digits - fraction.count)
  let text = "\(rounded / factor)." + zeroes + fraction
  return String(repeating: " ", count: max(0, width - text.count)) + text
}

/// What two looks at the clock cost.
func clockCost() -> Double {
  median((0..<1001).map { _ in -(now() - now()) })
}

/// Nanoseconds a chain, of the device alone, with the driver between its batches.
func onOneThread<Subject: Device & ~Copyable>(
  _: Subject.Type,
  _ shape: Shape,
  _ count: Int,
  _ clock: Double
) throws -> Double {
  let field = try Field(shape)
  var device = try Subject(field, shape)
  var total = 0.0
  var done = 0
  while done < count {
    let offered = unsafe Int(ring_driver_offer(field.driver, 16))
    let start = now()
    let taken = device.run(16)
    total += now() - start - clock
    precondition(taken == offered, "\(taken) of \(offered) chains came")
    let returned = unsafe Int(ring_driver_collect(field.driver))
    precondition(returned == taken, "\(returned) of \(taken) chains came back")
    done += taken
  }
  return total / Double(done)
}

/// Nanoseconds a chain, of all, while a driver offers and collects on a thread of its own.
func onTwoThreads<Subject: Device & ~Copyable>(
  _: Subject.Type,
  _ shape: Shape,
  _ count: Int
) throws -> Double {
  let field = try Field(shape)
  var device = try Subject(field, shape)
  guard let thread = unsafe ring_thread_start(field.driver) else {
    preconditionFailure("no thread")
  }
  defer { unsafe ring_thread_stop(thread) }
  var done = 0
  while done < count / 10 { done += device.run(16) }
  done = 0
  let start = now()
  while done < count { done += device.run(16) }
  return (now() - start) / Double(done)
}

nonisolated func run() throws {
  let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9
  let clock = clockCost()
  print("Nanoseconds a chain, pop to publish: medians of \(rounds) interleaved rounds.")
  print()
  print("| ring and chain     | one thread |     C | ratio | two threads |     C | ratio |")
  print("|--------------------|-----------:|------:|------:|------------:|------:|------:|")
  let prefix = CommandLine.arguments.dropFirst(2).first ?? ""
  for shape in Shape.all where shape.name.hasPrefix(prefix) {
    var times: [[Double]] = [[], [], [], []]
    let count = 2_000_000 / (shape.length + 3)
    let isAlone = CommandLine.arguments.dropFirst(3).first == "one"
    for _ in 0..<rounds {
      times[0].append(try onOneThread(Ours.self, shape, count, clock))
      times[1].append(try onOneThread(Peer.self, shape, count, clock))
      times[2].append(isAlone ? 1 : try onTwoThreads(Ours.self, shape, count))
      times[3].append(isAlone ? 1 : try onTwoThreads(Peer.self, shape, count))
    }
    let (one, peer) = (median(times[0]), median(times[1]))
    let (two, other) = (median(times[2]), median(times[3]))
    let cells = [
      column(shape.name, 18), fixed(one, 1, 10), fixed(peer, 1, 5), fixed(one / peer, 2, 5),
      fixed(two, 1, 11), fixed(other, 1, 5), fixed(two / other, 2, 5),
    ]
    print("| " + cells.joined(separator: " | ") + " |")
  }
}

do {
  try run()
} catch {
  print("ring-benchmark: \(error)")
  exit(1)
}
