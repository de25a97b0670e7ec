// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "apus-benchmarks",
  dependencies: [
    .package(name: "apus", path: ".."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.0", traits: []),
  ],
  targets: [
    // The C binary search that the bus is measured against.
    .target(name: "CBusPeer", cSettings: [.unsafeFlags(["-O2"])]),
    // Ratios to the peer, from one and two threads, with and without updates.
    .executableTarget(
      name: "bus-benchmark",
      dependencies: ["CBusPeer", .product(name: "DeviceModel", package: "apus")],
      swiftSettings: settings
    ),
    // The list that the floating interrupt controller is measured against.
    .target(name: "CFLICPeer", cSettings: [.unsafeFlags(["-O2"])]),
    // Enqueue and deliver, with few and with many pending.
    .executableTarget(
      name: "flic-benchmark",
      dependencies: ["CFLICPeer", .product(name: "Interrupts", package: "apus")],
      swiftSettings: settings
    ),
    // The virtqueue's device side in C, and a driver for both.
    .target(name: "CRingPeer", cSettings: [.unsafeFlags(["-O2"])]),
    // Chains from pop to publish, with the driver on the same thread and on another.
    .executableTarget(
      name: "ring-benchmark",
      dependencies: ["CRingPeer"]
        + ["GuestMemory", "HostOS", "Virtio"].map { .product(name: $0, package: "apus") },
      swiftSettings: settings
    ),
    // A driver in C that costs little, and the loop over io_uring that the disk is measured against.
    .target(
      name: "CDiskPeer",
      cSettings: [.unsafeFlags(["-O2"])],
      linkerSettings: [.linkedLibrary(":liburing.a")]
    ),
    // Disks behind a queue, in the driver's thread and in their own, beside that loop.
    .executableTarget(
      name: "disk-benchmark",
      dependencies: ["CDiskPeer", .product(name: "Logging", package: "swift-log")]
        + ["GuestMemory", "HostOS", "Virtio"].map { .product(name: $0, package: "apus") },
      swiftSettings: settings
    ),
    // Registers and disks of devices in processes of their own, beside the same in one process; run by `remote`.
    .executableTarget(
      name: "remote-benchmark",
      dependencies: ["CDiskPeer", .product(name: "Logging", package: "swift-log")]
        + ["DeviceModel", "GuestMemory", "HostOS", "PCI", "RemoteDevice", "Virtio"]
        .map { .product(name: $0, package: "apus") },
      swiftSettings: settings
    ),
    // A guest that is interrupted, and how its interrupts are timed.
    .target(
      name: "InterruptGuest",
      dependencies: ["DeviceModel", "GuestMemory", "HostOS", "KVM"]
        .map { .product(name: $0, package: "apus") },
      path: "Benchmarks/InterruptGuest",
      swiftSettings: settings
    ),
    // Interrupts and their ends in the models, and in KVM; built and run by `interrupts`.
    .executableTarget(
      name: "interrupt-benchmark",
      dependencies: ["InterruptGuest"]
        + ["DeviceModel", "HostOS", "Interrupts", "KVM", "Platform"]
        .map { .product(name: $0, package: "apus") },
      path: "Benchmarks/Interrupts",
      swiftSettings: settings
    ),
    // The same through whole machines; built and run by `interrupts`.
    .executableTarget(
      name: "interrupt-modes",
      dependencies: ["InterruptGuest"]
        + ["DeviceModel", "HostOS", "Interrupts", "KVM", "Machine", "Platform"]
        .map { .product(name: $0, package: "apus") },
      path: "Benchmarks/InterruptModes",
      swiftSettings: settings
    ),
    // Single functions, with baselines: `swift package benchmark`.
    .executableTarget(
      name: "BusBenchmarks",
      dependencies: [
        .product(name: "DeviceModel", package: "apus"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Bus",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
    ),
  ],
  swiftLanguageModes: [.v6]
)
