// Compares a lookup on the bus with a C binary search over the same ranges.
//
//   swift run -c release --package-path Benchmarks bus-benchmark [ROUNDS]

import DeviceModel

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

func column(_ value: Double, _ width: Int, digits: Int = 1) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let rounded = Int((value * scale).rounded())
  let fraction = String(rounded % Int(scale))
  let text =
    "\(rounded / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
  return column(text, width)
}

func column(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

nonisolated func run() throws {
  let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9
  let passes = 20
  print("ns of processor time per lookup: medians of \(rounds) interleaved rounds.")
  print("Ratios to the C searches, measured without updates: medians of the rounds' own ratios.")
  print()
  print(
    "| devices | readers | updates  | bus ns | C ns  | ratio | branch-free C ns | ratio | updates/s |"
  )
  print(
    "|--------:|--------:|---------:|-------:|------:|------:|-----------------:|------:|----------:|"
  )
  for devices in [1, 10, 100, 1_000, 10_000] {
    let layout = try Layout(deviceCount: devices)
    precondition(layout.readAll(BusView(of: layout.bus)) == layout.readAllInC())
    precondition(layout.readAllInBranchlessC() == layout.readAllInC())
    for readers in [1, 2] {
      var plain: [Double] = []
      var branchless: [Double] = []
      var bus: [Churn: [Double]] = [:]
      var rates: [Churn: [Double]] = [:]
      for _ in 0..<rounds {
        plain.append(measure(.plainC, on: layout, readers: readers, passes: passes).time)
        branchless.append(measure(.branchlessC, on: layout, readers: readers, passes: passes).time)
        for churn in Churn.allCases {
          let result = measure(.bus, on: layout, readers: readers, passes: passes, churn: churn)
          bus[churn, default: []].append(result.time)
          rates[churn, default: []].append(result.updatesPerSecond)
        }
      }
      for churn in Churn.allCases {
        let times = bus[churn] ?? []
        let ratio = median(zip(times, plain).map { $0 / $1 })
        let other = median(zip(times, branchless).map { $0 / $1 })
        let cells = [
          column("\(devices)", 7), column("\(readers)", 7), column(churn.label, 8),
          column(median(times), 6), column(median(plain), 5), column(ratio, 5, digits: 2),
          column(median(branchless), 16), column(other, 5, digits: 2),
          column("\(Int(median(rates[churn] ?? [])))", 9),
        ]
        print("| " + cells.joined(separator: " | ") + " |")
      }
    }
  }
}

try run()
