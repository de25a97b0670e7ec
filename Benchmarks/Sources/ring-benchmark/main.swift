// Compares the device's side of a virtqueue with the same in C, under one driver in C.
//
//   swift run -c release --package-path Benchmarks ring-benchmark [ROUNDS] [one] [save FILE | compare FILE]
//
// With the driver on the same thread only the device's part is timed; with the driver on a thread of its own, all of it, which
// 'one' leaves out. 'save' keeps the ratios in a file, and 'compare' holds a run against them: exit 1 if one has become worse.

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

/// What the command line asks for.
struct Options {
  var rounds = 9
  var isAlone = false
  var save: String?
  var compare: String?

  init?(_ arguments: [String]) {
    var rest = arguments[...]
    while let word = rest.popFirst() {
      switch word {
      case "one": isAlone = true
      case "save", "compare":
        guard let path = rest.popFirst() else { return nil }
        if word == "save" { save = path } else { compare = path }
      default:
        guard let number = Int(word), number > 0 else { return nil }
        rounds = number
      }
    }
  }
}

/// Measures one shape and prints its row.
func measure(_ shape: Shape, _ options: Options, _ clock: Double) throws -> (
  one: Double, two: Double
) {
  var times: [[Double]] = [[], [], [], []]
  let count = 2_000_000 / (shape.length + 3)
  for _ in 0..<options.rounds {
    times[0].append(try onOneThread(Ours.self, shape, count, clock))
    times[1].append(try onOneThread(Peer.self, shape, count, clock))
    guard !options.isAlone else { continue }
    times[2].append(try onTwoThreads(Ours.self, shape, count))
    times[3].append(try onTwoThreads(Peer.self, shape, count))
  }
  // The fastest: neighbours on the machine only ever add.
  let (one, peer) = (times[0].min() ?? 0, times[1].min() ?? 1)
  var cells = [
    column(shape.name, 18), fixed(one, 1, 10), fixed(peer, 1, 5), fixed(one / peer, 2, 5),
  ]
  var ratio = 0.0
  if !options.isAlone {
    let (two, other) = (median(times[2]), median(times[3]))
    ratio = two / other
    cells += [fixed(two, 1, 11), fixed(other, 1, 5), fixed(ratio, 2, 5)]
  }
  print("| " + cells.joined(separator: " | ") + " |")
  return (one / peer, ratio)
}

/// - Returns: Whether no ratio has become worse.
nonisolated func run(_ options: Options) throws -> Bool {
  let clock = clockCost()
  print(
    "Nanoseconds a chain, pop to publish, in \(options.rounds) interleaved rounds: the fastest on one thread, the median on two."
  )
  print()
  let tail = options.isAlone ? "" : " two threads |     C | ratio |"
  print("| ring and chain     | one thread |     C | ratio |" + tail)
  let rule = options.isAlone ? "" : "------------:|------:|------:|"
  print("|--------------------|-----------:|------:|------:|" + rule)
  var found = Baseline()
  for shape in Shape.all {
    let ratios = try measure(shape, options, clock)
    // Two threads depend on the machine's caches and neighbours far more than on the code.
    found.note(shape.name, ratios.one)
  }
  if let path = options.save { try found.save(to: path) }
  guard let path = options.compare else { return true }
  let regressions = found.regressions(since: try Baseline(from: path))
  print()
  for line in regressions { print("worse: \(line)") }
  if regressions.isEmpty { print("no ratio is more than \(Baseline.tolerance) times the kept one") }
  return regressions.isEmpty
}

guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
  print("usage: ring-benchmark [ROUNDS] [one] [save FILE | compare FILE]")
  exit(2)
}
do {
  exit(try run(options) ? 0 : 1)
} catch {
  print("ring-benchmark: \(error)")
  exit(1)
}
