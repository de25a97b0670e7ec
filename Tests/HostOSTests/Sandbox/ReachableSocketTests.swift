import Testing

@testable import HostOS

/// Which sockets outside a device inside may have its monitor connect to.
@Suite struct ReachableSocketTests {
  @Test(arguments: [
    (ReachableSocket.path("/run/net"), "/run/net", true),
    (.path("/run/net"), "/run/net2", false),
    (.path("/run/net"), "/run/../run/net", false),
    (.path("/run/net"), "", false),
    (.numbered("/run/v"), "/run/v_5000", true),
    (.numbered("/run/v"), "/run/v_0", true),
    (.numbered("/run/v"), "/run/v_4294967295", true),
    (.numbered("/run/v"), "/run/v_4294967296", false),
    (.numbered("/run/v"), "/run/v_-1", false),
    (.numbered("/run/v"), "/run/v_+1", false),
    (.numbered("/run/v"), "/run/v_01", false),
    (.numbered("/run/v"), "/run/v_1/../other", false),
    (.numbered("/run/v"), "/run/v_", false),
    (.numbered("/run/v"), "/run/v", false),
    (.numbered("/run/v"), "/run/w_1", false),
  ])
  func onlyWhatIsNamedIsReached(socket: ReachableSocket, path: String, isReached: Bool) {
    #expect(socket.matches(path) == isReached)
  }
}
