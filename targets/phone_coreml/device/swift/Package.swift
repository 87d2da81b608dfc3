// swift-tools-version: 5.9
import PackageDescription

// Written by edgedistill {{version}}. {{module}} holds the model and its API; {{module}}Tests checks it on the device;
// {{module}}Benchmarks measures it there.
let package = Package(
    name: "{{module}}",
    platforms: [.iOS("{{system}}.0"), .macOS("{{macos}}.0")],
    products: [.library(name: "{{module}}", targets: ["{{module}}"])],
    targets: [
        .target(
            name: "{{module}}",
            resources: [
                // copied as it is: compiled on the device at first use, so that its hash can be checked there
                .copy("Resources/Model.mlpackage"),
                .copy("Resources/model.json"),
                .copy("Resources/golden-inputs.bin"),
                .copy("Resources/golden-outputs.bin"),
            ]
        ),
        .testTarget(
            name: "{{module}}Tests",
            dependencies: ["{{module}}"],
            resources: [.copy("Resources/resize.json")]
        ),
        .testTarget(name: "{{module}}Benchmarks", dependencies: ["{{module}}"]),
    ]
)
