/// A controller that lowers bound sources at the end of an interrupt before it says so: KVM's, whose
/// guest would otherwise be interrupted again until this process has heard of the end.
///
/// All calls come with no lock held. Both of ``hold(_:)`` and ``withdraw(_:)`` may come where nothing is left
/// to be done; the last of them says what is to be.
public protocol ResamplingController: InterruptController {
  /// Gets ready to hold `gsi` up; called before its first bound source is asserted.
  func prepare(_ gsi: GSI) throws(InterruptError)
  /// Raises `gsi` until the end of its interrupt, which comes as `acknowledged(.ioAPIC(gsi))`.
  func hold(_ gsi: GSI)
  /// Lowers `gsi`, of which no bound source is asserted any more, although no interrupt has ended.
  func withdraw(_ gsi: GSI)
}
