/// What a front end can ask of a back end, by its number in the vhost-user protocol.
public enum VhostUserRequest: UInt32, CaseIterable, Sendable {
  case getFeatures = 1
  case setFeatures = 2
  case setOwner = 3
  case resetOwner = 4
  case setMemoryTable = 5
  case setLogBase = 6
  case setLogFD = 7
  case setRingSize = 8
  case setRingAddress = 9
  case setRingBase = 10
  case getRingBase = 11
  case setRingKick = 12
  case setRingCall = 13
  case setRingError = 14
  case getProtocolFeatures = 15
  case setProtocolFeatures = 16
  case getQueueCount = 17
  case setRingEnable = 18
  case sendRARP = 19
  case setMTU = 20
  case setBackendSocket = 21
  case translation = 22
  case setRingEndianness = 23
  case getConfiguration = 24
  case setConfiguration = 25
  case createCryptoSession = 26
  case closeCryptoSession = 27
  case postcopyAdvise = 28
  case postcopyListen = 29
  case postcopyEnd = 30
  case getInflight = 31
  case setInflight = 32
  case setGPUSocket = 33
  case resetDevice = 34
  case ringKick = 35
  case getMemorySlotCount = 36
  case addMemoryRegion = 37
  case removeMemoryRegion = 38
  case setStatus = 39
  case getStatus = 40
  case getSharedObject = 41
  case setDeviceState = 42
  case checkDeviceState = 43
  case getSharedMemory = 44
}

extension VhostUserRequest: CustomStringConvertible {
  /// The name that the protocol gives it, without `VHOST_USER_`.
  public var description: String {
    switch self {
    case .getFeatures: "GET_FEATURES"
    case .setFeatures: "SET_FEATURES"
    case .setOwner: "SET_OWNER"
    case .resetOwner: "RESET_OWNER"
    case .setMemoryTable: "SET_MEM_TABLE"
    case .setLogBase: "SET_LOG_BASE"
    case .setLogFD: "SET_LOG_FD"
    case .setRingSize: "SET_VRING_NUM"
    case .setRingAddress: "SET_VRING_ADDR"
    case .setRingBase: "SET_VRING_BASE"
    case .getRingBase: "GET_VRING_BASE"
    case .setRingKick: "SET_VRING_KICK"
    case .setRingCall: "SET_VRING_CALL"
    case .setRingError: "SET_VRING_ERR"
    case .getProtocolFeatures: "GET_PROTOCOL_FEATURES"
    case .setProtocolFeatures: "SET_PROTOCOL_FEATURES"
    case .getQueueCount: "GET_QUEUE_NUM"
    case .setRingEnable: "SET_VRING_ENABLE"
    case .sendRARP: "SEND_RARP"
    case .setMTU: "NET_SET_MTU"
    case .setBackendSocket: "SET_BACKEND_REQ_FD"
    case .translation: "IOTLB_MSG"
    case .setRingEndianness: "SET_VRING_ENDIAN"
    case .getConfiguration: "GET_CONFIG"
    case .setConfiguration: "SET_CONFIG"
    case .createCryptoSession: "CREATE_CRYPTO_SESSION"
    case .closeCryptoSession: "CLOSE_CRYPTO_SESSION"
    case .postcopyAdvise: "POSTCOPY_ADVISE"
    case .postcopyListen: "POSTCOPY_LISTEN"
    case .postcopyEnd: "POSTCOPY_END"
    case .getInflight: "GET_INFLIGHT_FD"
    case .setInflight: "SET_INFLIGHT_FD"
    case .setGPUSocket: "GPU_SET_SOCKET"
    case .resetDevice: "RESET_DEVICE"
    case .ringKick: "VRING_KICK"
    case .getMemorySlotCount: "GET_MAX_MEM_SLOTS"
    case .addMemoryRegion: "ADD_MEM_REG"
    case .removeMemoryRegion: "REM_MEM_REG"
    case .setStatus: "SET_STATUS"
    case .getStatus: "GET_STATUS"
    case .getSharedObject: "GET_SHARED_OBJECT"
    case .setDeviceState: "SET_DEVICE_STATE_FD"
    case .checkDeviceState: "CHECK_DEVICE_STATE"
    case .getSharedMemory: "GET_SHMEM_CONFIG"
    }
  }
}
