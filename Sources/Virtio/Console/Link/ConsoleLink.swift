import GuestMemory
import HostOS

/// What a console in a process of its own has of the monitor that holds its ends: memory that both share, an eventfd for news of
/// the ends, and a socket of packets for the terminal, if there is one, and for each port.
public final class ConsoleLink: Sendable {
  /// The ports by number; `nil` for a console without a terminal.
  let ports: [ConsolePort?]
  let memory: ConsoleLinkMemory
  /// Signalled when somebody has come to an end, or gone.
  let news: EventFD

  /// Takes over what the process was started with.
  ///
  /// - Parameters:
  ///   - first: The number of the memory's descriptor; the eventfd and the sockets have the numbers after it.
  ///   - hasTerminal: Whether the first socket is the terminal's.
  ///   - names: The names of the ports beside it.
  /// - Throws: `SystemError` if one is not open, `SharedMappingError` for memory that is none.
  public init(from first: Int32, hasTerminal: Bool, names: [String]) throws {
    precondition(names.count <= Console.portLimit, "\(names.count) ports")
    func take(_ number: Int32) throws(SystemError) -> OwnedFileDescriptor {
      try OwnedFileDescriptor(duplicating: number)
    }
    let memory = try ConsoleLinkMemory(take(first))
    self.memory = memory
    news = EventFD(adopting: try take(first + 1))
    var next = first + 2
    var ports: [ConsolePort?] = hasTerminal ? [] : [nil]
    for name in (hasTerminal ? [nil] : []) + names.map(Optional.some) {
      let port = ConsoleLinkPort(try take(next), ports.count, memory)
      ports.append(ConsolePort(name: name, port))
      next += 1
    }
    self.ports = ports
  }
}
