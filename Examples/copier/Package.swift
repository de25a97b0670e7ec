// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [.strictMemorySafety(), .treatAllWarnings(as: .error)]

let package = Package(
  name: "copier",
  dependencies: [.package(name: "apus", path: "../..")],
  targets: [
    .executableTarget(
      name: "copier",
      dependencies: ["DeviceKit", "DeviceModel", "GuestMemory"]
        .map { .product(name: $0, package: "apus") },
      swiftSettings: settings
    ),
    .testTarget(
      name: "CopierTests",
      dependencies: ["copier"]
        + ["DeviceModel", "GuestMemory", "PCI"].map { .product(name: $0, package: "apus") },
      swiftSettings: settings
    ),
  ],
  swiftLanguageModes: [.v6]
)
