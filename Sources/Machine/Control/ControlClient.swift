import HostOS

/// One client of the control socket: a request, and what it is answered.
///
/// Owned by the server's thread.
final class ControlClient {
  /// How far it has come.
  enum Progress {
    /// The rest of its request, or its taking of the answer, is waited for.
    case waiting
    /// It asks for this.
    case request(String)
    /// Nothing more is to be done for it.
    case ended
  }

  /// The longest request, in bytes.
  static var requestLimit: Int { 8192 }
  /// How long a request, or the taking of an answer, may take, in nanoseconds.
  private let patience: UInt64

  private let socket: OwnedFileDescriptor
  private var input: [UInt8] = []
  private var output: ArraySlice<UInt8> = []
  private var isAnswered = false
  /// When it is given up; `nil` while it waits for us.
  private(set) var deadline: UInt64?

  init(_ socket: consuming OwnedFileDescriptor, patience: UInt64) {
    self.socket = socket
    self.patience = patience
    deadline = MonotonicClock.nanoseconds &+ patience
  }

  /// For polling.
  var number: Int32 { socket.rawValue }

  /// What to poll for.
  var interest: Poller.Interest {
    guard isAnswered else { return deadline == nil ? [] : .readable }
    return .writable
  }

  /// Reads, or writes, what can be at once.
  func advance() -> Progress {
    do throws(SystemError) {
      if isAnswered {
        output = output.dropFirst(try FileIO.write(number, output))
        return output.isEmpty ? .ended : .waiting
      }
      guard deadline != nil, let bytes = try FileIO.read(number, atMost: 4096) else {
        return .waiting
      }
      input += bytes
      if let end = input.firstIndex(of: UInt8(ascii: "\n")) {
        deadline = nil
        return .request(String(decoding: input[..<end], as: UTF8.self))
      }
      guard input.count <= Self.requestLimit else {
        answer("error: a request is one line of \(Self.requestLimit) bytes at most\n")
        return .waiting
      }
      return bytes.isEmpty ? .ended : .waiting
    } catch {
      return .ended
    }
  }

  /// Sends an answer, and nothing after that.
  func answer(_ text: String) {
    isAnswered = true
    output = Array(text.utf8)[...]
    deadline = MonotonicClock.nanoseconds &+ patience
  }
}
