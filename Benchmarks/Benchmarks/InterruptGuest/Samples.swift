import Glibc

/// Nanoseconds since some moment in the past.
public func now() -> UInt64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// The processor time that the calling thread has used, in nanoseconds.
public func threadTime() -> UInt64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Times, in nanoseconds.
public struct Samples {
  private var values: [UInt64] = []

  /// Makes an empty list with room for `count`.
  public init(count: Int) { values.reserveCapacity(count) }

  /// How many there are.
  public var count: Int { values.count }

  /// Adds the time from `start` to `end`.
  public mutating func add(_ start: UInt64, _ end: UInt64) { values.append(end &- start) }

  /// The time below which the share `part` of the samples is.
  public func quantile(_ part: Double) -> Double {
    let sorted = values.sorted()
    return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))])
  }

  /// Median and 99th percentile, less `overhead`, in thousands of nanoseconds if `inMicroseconds`.
  public func cells(less overhead: Double = 0, inMicroseconds: Bool = false) -> [String] {
    [0.5, 0.99].map { part in
      let value = max(0, quantile(part) - overhead)
      return inMicroseconds ? tenths(value / 1000) : "\(Int(value.rounded()))"
    }
  }
}

/// What it takes to look at the clock twice, in nanoseconds.
public func clockOverhead() -> Double {
  var samples = Samples(count: 100_000)
  for _ in 0..<100_000 {
    let start = now()
    samples.add(start, now())
  }
  return samples.quantile(0.5)
}

/// `value` with one digit after the point.
public func tenths(_ value: Double) -> String {
  let rounded = Int((value * 10).rounded())
  return "\(rounded / 10).\(rounded % 10)"
}

/// Prints a table in which all but the first column are numbers.
public func printTable(_ header: [String], _ rows: [[String]]) {
  let widths = header.indices.map { column in
    ([header] + rows).map { $0[column].count }.max() ?? 0
  }
  func line(_ cells: [String]) -> String {
    let padded = cells.enumerated().map { column, text in
      let space = String(repeating: " ", count: widths[column] - text.count)
      return column == 0 ? text + space : space + text
    }
    return "| " + padded.joined(separator: " | ") + " |"
  }
  print(line(header))
  let rules = widths.enumerated().map { column, width in
    String(repeating: "-", count: column == 0 ? width + 2 : width + 1) + (column == 0 ? "" : ":")
  }
  print("|" + rules.joined(separator: "|") + "|")
  for row in rows { print(line(row)) }
}
