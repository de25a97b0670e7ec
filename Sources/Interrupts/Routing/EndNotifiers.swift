/// Who is to be told of an end, in order; the first three take no memory of their own.
struct EndNotifiers {
  // Not an inline array: to make and destroy one costs more than all else here.
  private var first: (@Sendable () -> Void)?
  private var second: (@Sendable () -> Void)?
  private var third: (@Sendable () -> Void)?
  private var rest: [@Sendable () -> Void] = []

  mutating func append(_ notifier: @escaping @Sendable () -> Void) {
    if first == nil {
      first = notifier
    } else if second == nil {
      second = notifier
    } else if third == nil {
      third = notifier
    } else {
      rest.append(notifier)
    }
  }

  func call() {
    first?()
    second?()
    third?()
    for notifier in rest { notifier() }
  }
}
