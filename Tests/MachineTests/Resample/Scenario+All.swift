extension Scenario {
  /// Those that are written down, with what has to come of them.
  static let all = single + shared + masked + bindings + routes

  private static let single = [
    Scenario(
      "a device asserts again after each end",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.leave),
        .taken(.signal(.a)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a device asserts when it is told of the end",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.signal(.a)),
        .taken(.leave), .ended(.a), .quiet(.signal(.a)), .taken(.leave), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "signals before the end are one",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .quiet(.signal(.a)), .quiet(.signal(.a)),
        .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a line with no eventfds interrupts while it is up",
      [
        .taken(.line(true)), .ended(), .taken(.leave), .quiet(.line(false)), .ended(),
        .quiet(.leave),
      ]
    ),
    Scenario(
      "a line that falls in the handler does not interrupt again",
      [.taken(.line(true)), .quiet(.line(false)), .ended(), .quiet(.leave)]
    ),
  ]

  private static let shared = [
    Scenario(
      "two devices share an interrupt and are both told",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.a)), .quiet(.signal(.b)),
        .ended(.a, .b), .quiet(.leave),
      ]
    ),
    Scenario(
      "the one that is asserted is told",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.a)), .ended(.a), .quiet(.leave),
        .taken(.signal(.b)), .ended(.b), .quiet(.leave),
      ]
    ),
    Scenario(
      "one of two has more to do",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.a)), .quiet(.signal(.b)),
        .ended(.a, .b), .quiet(.signal(.b)), .taken(.leave), .ended(.b), .quiet(.leave),
      ]
    ),
    Scenario(
      "one asserts between the other's end and the handler's",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.a)), .ended(.a),
        .quiet(.signal(.b)), .taken(.leave), .quiet(.signal(.a)), .ended(.a, .b), .quiet(.leave),
      ]
    ),
    Scenario(
      "a device shares with a line that stays up",
      [
        .quiet(.assign(.a)), .taken(.line(true)), .quiet(.signal(.a)), .ended(.a), .taken(.leave),
        .ended(), .taken(.leave), .quiet(.signal(.a)), .quiet(.line(false)), .ended(.a),
        .quiet(.leave),
      ]
    ),
  ]

  private static let masked = [
    Scenario(
      "what is asserted behind a mask comes when it is lifted",
      [
        .quiet(.assign(.a)), .quiet(.mask(true)), .quiet(.signal(.a)), .taken(.mask(false)),
        .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a mask in the handler keeps no end from the device",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .quiet(.mask(true)), .ended(.a),
        .quiet(.signal(.a)), .quiet(.leave), .taken(.mask(false)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a line that falls behind a mask does not come",
      [.quiet(.mask(true)), .quiet(.line(true)), .quiet(.line(false)), .quiet(.mask(false))]
    ),
  ]

  private static let bindings = [
    Scenario(
      "a device comes back with what it has signalled meanwhile",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.leave), .quiet(.deassign(.a)),
        .quiet(.signal(.a)), .taken(.assign(.a)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a device that goes takes its assertion with it",
      [
        .quiet(.assign(.a)), .quiet(.mask(true)), .quiet(.signal(.a)), .quiet(.deassign(.a)),
        .quiet(.mask(false)), .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a device that goes while it is served is not told",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .quiet(.deassign(.a)), .ended(), .quiet(.leave),
        .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a neighbour goes while the other is served",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.b)), .quiet(.deassign(.a)),
        .ended(.b), .quiet(.leave), .taken(.signal(.b)), .ended(.b), .quiet(.leave),
      ]
    ),
    Scenario(
      "one of two that are served goes",
      [
        .quiet(.assign(.a)), .quiet(.assign(.b)), .taken(.signal(.a)), .quiet(.signal(.b)),
        .quiet(.deassign(.a)), .ended(.b), .quiet(.leave),
      ]
    ),
    Scenario(
      "a neighbour that comes while the other is served is not told",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .quiet(.assign(.b)), .ended(.a), .quiet(.leave),
        .taken(.signal(.b)), .ended(.b), .quiet(.leave),
      ]
    ),
    Scenario(
      "an asserted device that goes leaves no interrupt to its neighbour",
      isKernels: false,
      [
        .quiet(.mask(true)), .quiet(.assign(.a)), .quiet(.assign(.b)), .quiet(.signal(.a)),
        .quiet(.deassign(.a)), .quiet(.mask(false)), .taken(.signal(.b)), .ended(.b),
        .quiet(.leave),
      ]
    ),
  ]

  private static let routes = [
    Scenario(
      "devices follow their route",
      [
        .quiet(.assign(.a)), .taken(.signal(.a)), .ended(.a), .quiet(.leave), .quiet(.route(17)),
        .taken(.signal(.a), 0x42), .ended(.a), .quiet(.leave), .quiet(.route(16)),
        .taken(.signal(.a)), .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "an asserted device follows its route at once",
      isKernels: false,
      [
        .quiet(.assign(.a)), .quiet(.mask(true)), .quiet(.signal(.a)), .taken(.route(17), 0x42),
        .ended(.a), .quiet(.leave), .quiet(.route(16)), .quiet(.mask(false)), .taken(.signal(.a)),
        .ended(.a), .quiet(.leave),
      ]
    ),
    Scenario(
      "a line that is up follows its route at once",
      isKernels: false,
      [
        .quiet(.mask(true)), .quiet(.line(true)), .taken(.route(17), 0x42), .quiet(.line(false)),
        .ended(), .quiet(.leave), .quiet(.mask(false)), .taken(.line(true), 0x42),
        .quiet(.line(false)), .ended(), .quiet(.leave),
      ]
    ),
  ]
}
