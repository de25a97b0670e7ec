// swift-tools-version: 6.2
import PackageDescription

let parts: [Target.Dependency] = [
  .product(name: "HostOS", package: "apus"),
  .product(name: "DeviceModel", package: "apus"),
  .product(name: "GuestMemory", package: "apus"),
  .product(name: "Interrupts", package: "apus"),
  .product(name: "PCI", package: "apus"),
  .product(name: "Platform", package: "apus"),
  .product(name: "RemoteDevice", package: "apus"),
  .product(name: "Virtio", package: "apus"),
  .product(name: "Logging", package: "swift-log"),
]

let names = [
  "FuzzVfioUserReplies",
  "FuzzQueue", "FuzzBlock", "FuzzNet", "FuzzConsole", "FuzzEntropy", "FuzzVsock", "FuzzBalloon",
  "FuzzInterrupts", "FuzzFLIC", "FuzzVhostUser", "FuzzVhostUserReplies", "FuzzMPQEMU",
  "FuzzMPQEMUReplies", "FuzzVfioUser", "FuzzRecord",
]
let targets = names.map { name in
  Target.executableTarget(name: name, dependencies: ["CFuzzer", "FuzzSupport"] + parts)
}
let machine = Target.executableTarget(
  name: "FuzzSnapshot",
  dependencies: ["CFuzzer", "FuzzSupport", .product(name: "Machine", package: "apus")] + parts
)

let package = Package(
  name: "fuzz",
  dependencies: [
    .package(name: "apus", path: ".."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
  ],
  targets: [
    .target(name: "CFuzzer"),
    .target(name: "FuzzSupport", dependencies: parts),
    machine,
  ] + targets,
  swiftLanguageModes: [.v6]
)
