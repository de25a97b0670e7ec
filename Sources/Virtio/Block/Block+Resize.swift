public import Logging

extension Block {
  /// Tells the driver how large the storage is by now, and the user if that is news or cannot be told.
  ///
  /// See ``resize()``. Any thread may call; it takes as long as the storage does to answer.
  public func resize(logging logger: Logger) {
    do {
      let (count, hasChanged) = try resize()
      if hasChanged { logger.notice("\(name): \(path) has \(count) bytes now") }
    } catch {
      logger.warning("\(name): \(error)")
    }
  }
}
