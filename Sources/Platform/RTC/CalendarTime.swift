/// A moment as a clock chip counts it, in the proleptic Gregorian calendar.
struct CalendarTime: Equatable {
  var year: Int64
  /// 1 to 12.
  var month: Int64
  /// 1 to 31.
  var day: Int64
  var hour: Int64
  var minute: Int64
  var second: Int64

  /// Days since 1970-01-01, which was a Thursday.
  ///
  /// Fields beyond their range carry over, as in mktime(3).
  var days: Int64 {
    // Years are counted from 1 March, so that the leap day comes last; an era is 400 years.
    let months = year * 12 + (month - 1) - 2
    let marchYear = Self.floorDivide(months, 12)
    let marchMonth = months - marchYear * 12
    let era = Self.floorDivide(marchYear, 400)
    let yearOfEra = marchYear - era * 400
    let dayOfYear = (153 * marchMonth + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Seconds since 1970-01-01 00:00.
  var seconds: Int64 { days * 86_400 + hour * 3_600 + minute * 60 + second }

  /// Joins the fields.
  init(year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// Splits seconds since 1970-01-01 00:00.
  init(seconds: Int64) {
    let days = Self.floorDivide(seconds, 86_400)
    let rest = seconds - days * 86_400
    let sinceMarch = days + 719_468
    let era = Self.floorDivide(sinceMarch, 146_097)
    let dayOfEra = sinceMarch - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    hour = rest / 3_600
    minute = rest / 60 % 60
    second = rest % 60
  }

  /// The quotient rounded down, for a positive divisor.
  static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    value / divisor - (value % divisor < 0 ? 1 : 0)
  }
}
