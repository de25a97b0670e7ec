// Compares the floating interrupt controller with a linked list that is sorted on insertion.
//
//   swift run -c release --package-path Benchmarks flic-benchmark [ROUNDS]

import Glibc

/// The processor time that the calling thread has used, in nanoseconds.
func threadTime() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

func column(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

/// `value` with one digit after the point.
func tenths(_ value: Double) -> String {
  let rounded = Int((value * 10).rounded())
  return "\(rounded / 10).\(rounded % 10)"
}

/// Nanoseconds for one enqueue and one delivery.
func measure(_ subject: inout some Subject, _ count: Int) -> Double {
  let start = threadTime()
  let isWhole = subject.run(count)
  let end = threadTime()
  precondition(isWhole, "an interrupt was not delivered")
  return (end - start) / Double(count)
}

/// Starts a thread and waits for it: a process that never had a second one has cheaper mutexes in glibc,
/// and a monitor is no such process.
func startAnotherThread() {
  var thread = pthread_t()
  let result = unsafe pthread_create(&thread, nil, { _ in nil }, nil)
  precondition(result == 0, "pthread_create: \(result)")
  pthread_join(thread, nil)
}

nonisolated func run() {
  startAnotherThread()
  let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9
  print("One enqueue and one delivery: medians of \(rounds) interleaved rounds.")
  print()
  print("| pending | subclasses | FLIC ns | FLIC/s   | list ns    | list/s   | list / FLIC |")
  print("|--------:|-----------:|--------:|---------:|-----------:|---------:|------------:|")
  for pending in [1, 1_000, 1_000_000] {
    for subclasses in Subclasses.allCases {
      var controller = Controller(pending: pending, subclasses: subclasses)
      var list = SortedList(pending: pending, subclasses: subclasses)
      defer { list.destroy() }
      // The list with a million takes milliseconds for each.
      let listCount = max(8, min(200_000, 20_000_000 / pending))
      var times: [Double] = []
      var listTimes: [Double] = []
      for _ in 0..<rounds {
        times.append(measure(&controller, 200_000))
        listTimes.append(measure(&list, listCount))
      }
      let time = median(times)
      let listTime = median(listTimes)
      let cells = [
        column("\(pending)", 7), column(subclasses == .one ? "one" : "eight", 10),
        column(tenths(time), 7), column("\(Int(1e9 / time))", 8), column(tenths(listTime), 10),
        column("\(Int(1e9 / listTime))", 8), column(tenths(listTime / time), 11),
      ]
      print("| " + cells.joined(separator: " | ") + " |")
    }
  }
}

run()
