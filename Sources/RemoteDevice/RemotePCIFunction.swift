public import PCI

/// A PCI function that another process serves, for as long as one board.
public protocol RemotePCIFunction: PCIFunction {
  /// Ends the other process's hold on the machine: nothing of its memory is touched, and nothing interrupts, from the
  /// return on.
  ///
  /// No vCPU runs any more.
  func stop()
}
