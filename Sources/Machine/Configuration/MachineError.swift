/// What a user asked for that cannot be; each shown as one line with the value and the remedy.
public enum MachineError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The number of processors is out of range.
  case processorCount(Int)
  /// The number of threads for queues is out of range.
  case queueThreads(Int)
  /// The time to poll is out of range, in microseconds.
  case queuePolling(UInt32)
  /// KVM on this host takes fewer processors.
  case hostProcessorLimit(asked: Int, limit: Int)
  /// The host cannot provide the memory.
  case memory(bytes: UInt64, reason: String)
  /// The host's pool of huge pages cannot provide the memory.
  case hugePages(bytes: UInt64, reason: String)
  /// A PCI device number is out of range.
  case slot(option: String, UInt64)
  /// The address of memory-mapped registers is not one of the slots for them.
  case registers(option: String, UInt64, first: UInt64, last: UInt64)
  /// Two devices ask for one address.
  case addressTaken(by: String, wanted: String, address: String)
  /// There is no room for another device.
  case tooManyDevices(kind: String, limit: Int)
  /// Standard input and output can serve one port only.
  case standardStreamTaken
  /// The name of a console's port is no name.
  case portName(option: String, limit: Int)
  /// Two ports of a console have one name.
  case portTaken(option: String)
  /// The terminal is somebody else's.
  case portTerminal(option: String)
  /// The balloon is to take all memory, or more.
  case balloonSize(UInt64, memory: UInt64)
  /// Huge pages cannot be given back in parts.
  case balloonOfHugePages
  /// A context ID is out of range.
  case contextID(option: String)
  /// The path of the sockets is too long for them.
  case vsockPath(option: String, limit: Int)
  /// The socket cannot be listened on.
  case vsockSocket(option: String, reason: String)
  /// The file of an interrupt state cannot be read or made, or holds none.
  case interruptState(path: String, reason: String)
  /// The file of a saved machine cannot be read or made, or holds none that fits.
  case savedMachine(path: String, reason: String)
  /// A machine with this device cannot be saved.
  case unsavedDevice(option: String, remedy: String)
  /// A machine that is put back cannot start again without its kernel.
  case missingKernel
  /// The messages with devices' processes cannot be recorded.
  case recording(path: String, reason: String)
  /// The process that is to serve a device is not there, or is no good.
  case remoteDevice(option: String, reason: String)
  /// The process of a device of ours says why it cannot serve it.
  case refusedDevice(String)
  /// The process of a device of ours does not serve it.
  case isolatedDevice(String, reason: String)
  /// A device is a PCI function, and there is no PCI for devices.
  case needsPCI(option: String)
  /// An option is about processes of devices, and there are none.
  case needsIsolation(option: String)
  /// The control socket cannot be listened on.
  case control(path: String, reason: String)
  /// A stream cannot be opened.
  case stream(path: String, reason: String)

  /// One line: the value and the remedy.
  public var description: String {
    switch self {
    case .processorCount(let count):
      "--cpus \(count): a machine has 1 to \(MachineConfiguration.processorLimit) processors"
    case .queueThreads(let count):
      "--queue-threads \(count): 1 to \(QueueOptions.threadLimit) threads serve all queues; 0 gives each "
        + "device its own"
    case .queuePolling(let microseconds):
      "--queue-polling \(microseconds): at most \(QueueOptions.pollingLimit) microseconds; 0 never polls"
    case .hostProcessorLimit(let asked, let limit):
      "--cpus \(asked): this host's KVM takes at most \(limit) processors; ask for fewer"
    case .memory(let bytes, let reason):
      "--memory \(bytes) bytes: the host cannot provide it (\(reason)); ask for less"
    case .hugePages(let bytes, let reason):
      "--hugepages: the host's pool cannot provide \(sizeText(bytes)) (\(reason)); enlarge it "
        + "(sysctl vm.nr_hugepages) or leave --hugepages out"
    case .slot(let option, let slot):
      "\(option),slot=\(slot): PCI device numbers are 1 to 31"
    case .registers(let option, let address, let first, let last):
      "\(option),address=\(hex(address)): registers sit at a multiple of 0x1000 from "
        + "\(hex(first)) to \(hex(last))"
    case .addressTaken(let other, let wanted, let address):
      "\(wanted) and \(other) are both at \(address): give one of them another address"
    case .tooManyDevices(let kind, let limit):
      "more than \(limit) \(kind) devices: take some away"
    case .standardStreamTaken:
      "--serial stdio and --console stdio: only one of them can have the terminal; "
        + "give the other none, file:F or unix:F"
    case .portName(let option, let limit):
      "\(option): a port's name has 1 to \(limit) bytes, without a slash, blank or control character"
    case .portTaken(let option): "\(option): another port has this name; choose another name"
    case .portTerminal(let option):
      "\(option): --serial, --console or another port has the terminal; give that one none, file:F or unix:F"
    case .balloonSize(let size, let memory):
      "--balloon size=\(sizeText(size)): the guest has \(sizeText(memory)) in all; take less"
    case .balloonOfHugePages:
      "--balloon: memory of --hugepages cannot be given back to the host; leave one of them out"
    case .contextID(let option): "\(option): a guest's cid is 3 to 4294967294"
    case .vsockPath(let option, let limit):
      "\(option): the path has 1 to \(limit) bytes, with room for a port after it"
    case .vsockSocket(let option, let reason):
      "\(option): \(reason); name a path that can be made and that nobody listens on"
    case .control(let path, let reason):
      "--control \(path): \(reason); name a path of at most 107 bytes where a socket can be made"
    case .interruptState(let path, let reason): "\(path): \(reason)"
    case .savedMachine(let path, let reason): "\(path): \(reason)"
    case .unsavedDevice(let option, let remedy):
      "--save, --restore: \(option) has a state that is not kept; \(remedy)"
    case .missingKernel:
      "--on-reset restart: a machine that starts again needs its kernel; name it, or leave --on-reset out"
    case .recording(let path, let reason):
      "--record \(path): \(reason); name a file that can be made and written"
    case .refusedDevice(let line): line
    case .isolatedDevice(let name, let reason):
      "\(name): its own process does not serve it: \(reason); what it says itself is above, and "
        + "--isolate none has no such process"
    case .remoteDevice(let option, let reason):
      option.contains(",exec=")
        ? "\(option): \(reason); look at what the command says, and that it serves socket {fd}"
        : "\(option): \(reason); start a back end for such a device there first, such as apus serve"
    case .needsPCI(let option):
      "\(option): the device is a PCI function; leave --transport mmio out"
    case .needsIsolation(let option):
      "\(option): no device has a process of its own; give it --isolate devices"
    case .stream(let path, let reason):
      "\(path): \(reason); name a path that can be made and written"
    }
  }
}

/// `0xfeb00000`.
func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
