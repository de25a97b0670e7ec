// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let log = Target.Dependency.product(name: "Logging", package: "swift-log")

/// A module of the product; it may import only what `dependencies` names.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The tests of one module, with the shared fakes.
func tests(
  _ name: String,
  _ dependencies: [Target.Dependency] = [],
  exclude: [String] = []
) -> Target {
  .testTarget(
    name: "\(name)Tests",
    dependencies: [.byName(name: name), "TestSupport"] + dependencies,
    exclude: exclude
  )
}

let package = Package(
  name: "apus",
  products: [
    .executable(name: "apus", targets: ["apus"]),
    .library(name: "DeviceKit", targets: ["DeviceKit"]),
    .library(name: "DeviceModel", targets: ["DeviceModel"]),
    .library(name: "GuestMemory", targets: ["GuestMemory"]),
    .library(name: "HostOS", targets: ["HostOS"]),
    .library(name: "Interrupts", targets: ["Interrupts"]),
    .library(name: "KVM", targets: ["KVM"]),
    .library(name: "Machine", targets: ["Machine"]),
    .library(name: "PCI", targets: ["PCI"]),
    .library(name: "Platform", targets: ["Platform"]),
    .library(name: "RemoteDevice", targets: ["RemoteDevice"]),
    .library(name: "Virtio", targets: ["Virtio"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
  ],
  targets: [
    .target(name: "CLinux"),
    // The archive, not the shared library: the binary must run on a host that has no liburing.
    .target(name: "CUring", linkerSettings: [.linkedLibrary(":liburing.a")]),
    // The archive, for the same reason.
    .target(name: "CSeccomp", linkerSettings: [.linkedLibrary(":libseccomp.a")]),
    // The headers only: the library is loaded where somebody uses it.
    .target(name: "CNBD"),
    module("HostOS", ["CLinux", "CSeccomp", "CUring"]),
    module("EmulatedHost", ["CLinux", "HostOS"]),
    module("GuestMemory", ["HostOS"]),
    module("KVM", ["CLinux", "HostOS"]),
    module("DeviceModel", ["CLinux", "HostOS", "GuestMemory"]),
    module("Interrupts", ["HostOS", "DeviceModel"]),
    module("PCI", ["HostOS", "GuestMemory", "DeviceModel", log]),
    module("Platform", ["HostOS", "GuestMemory", "DeviceModel"]),
    module(
      "Virtio",
      ["CLinux", "CNBD", "HostOS", "GuestMemory", "DeviceModel", "Interrupts", "PCI", log]
    ),
    module(
      "RemoteDevice",
      ["CLinux", "HostOS", "GuestMemory", "DeviceModel", "Interrupts", "PCI", "Virtio", log]
    ),
    module(
      "Machine",
      [
        "CLinux", "HostOS", "GuestMemory", "KVM", "DeviceModel", "Interrupts", "PCI", "Platform",
        "Virtio", "RemoteDevice", log,
      ]
    ),
    module("DeviceKit", ["HostOS", "DeviceModel", "Virtio", "RemoteDevice", "Machine", log]),
    .executableTarget(
      name: "apus",
      dependencies: [
        "DeviceKit", "EmulatedHost", "HostOS", "Machine", "RemoteDevice", "Virtio", log,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings
    ),
    // The device of Examples/copier, which is a package of its own, built here too for the tests.
    .executableTarget(
      name: "copier",
      dependencies: ["DeviceKit", "DeviceModel", "GuestMemory"],
      path: "Examples/copier/Sources/copier",
      swiftSettings: settings
    ),
    .target(
      name: "TestSupport",
      dependencies: [
        "CLinux", "HostOS", "GuestMemory", "KVM", "DeviceModel", "Interrupts", "PCI", "Virtio",
        "SanitizerSupport", "SteppingSupport", log,
      ],
      path: "Tests/TestSupport"
    ),
    .target(name: "SanitizerSupport", path: "Tests/SanitizerSupport"),
    .target(name: "SteppingSupport", path: "Tests/SteppingSupport"),
    // A program that shuts itself in as a device's process does, and then tries to get out.
    .target(name: "TakenOverCalls", path: "Tests/TakenOverCalls"),
    .executableTarget(
      name: "TakenOver",
      dependencies: ["HostOS", "TakenOverCalls"],
      path: "Tests/TakenOver"
    ),
    tests("HostOS", ["TakenOver", "TakenOverCalls"]),
    tests("EmulatedHost", ["HostOS"]),
    tests("GuestMemory", ["HostOS"]),
    tests("KVM", ["HostOS", "GuestMemory"]),
    tests("DeviceModel", ["HostOS"]),
    tests("Interrupts", ["CLinux", "HostOS", "DeviceModel"]),
    tests("PCI", ["DeviceModel"]),
    tests("Platform", ["HostOS", "DeviceModel", "GuestMemory"]),
    tests(
      "Virtio",
      ["HostOS", "DeviceModel", "GuestMemory", "Interrupts", "PCI", "Platform", log]
    ),
    tests(
      "RemoteDevice",
      ["CLinux", "HostOS", "DeviceModel", "GuestMemory", "Interrupts", "PCI", "Virtio", log],
      exclude: ["Fixtures"]
    ),
    tests(
      "Machine",
      [
        "HostOS", "KVM", "DeviceModel", "GuestMemory", "Interrupts", "PCI", "Platform", "Virtio",
        log,
      ]
    ),
    .testTarget(
      name: "CopierTests",
      dependencies: ["copier", "DeviceModel", "GuestMemory", "PCI"],
      path: "Examples/copier/Tests/CopierTests"
    ),
    .testTarget(
      name: "ApusTests",
      dependencies: [
        "apus", "copier", "DeviceModel", "GuestMemory", "HostOS", "Machine", "PCI", "RemoteDevice",
        "TestSupport", "Virtio", log,
      ]
    ),
  ],
  swiftLanguageModes: [.v6]
)
