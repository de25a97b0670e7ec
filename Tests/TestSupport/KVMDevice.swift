public import KVM
public import Testing

/// The host's KVM, for tests that need one.
public enum KVMDevice {
  /// Why it cannot be used, or `nil`.
  public static let problem: KVMError? = {
    do throws(KVMError) {
      _ = try KVMSystem()
      return nil
    } catch { return error }
  }()

  /// Skips a test or a suite where there is no KVM, and says why.
  public static var required: ConditionTrait {
    .enabled(if: problem == nil, Comment(rawValue: problem?.description ?? "KVM is there"))
  }
}
