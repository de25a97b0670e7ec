public import DeviceModel

/// Where a GSI leads.
public enum InterruptRoute: Hashable, Sendable {
  /// To an input pin of a controller, with its level.
  case pin(ControllerPin)
  /// To the processors directly: a rise of the GSI delivers this message.
  case message(InterruptMessage)
}
