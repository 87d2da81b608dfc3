"""Writes the Xcode project that runs a Swift package's tests on a device: Xcode runs none there without a host app.

Source: the property-list form of project files (`project.pbxproj`, object version 60, Xcode 15 and later).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "DeviceTests"
BUNDLE = "dev.edgedistill"
PROJECT = "@PROJECT@"
"""Stands for the project's identifier until it has one: it is the last object."""


class _Objects:
    """Objects of a project by identifiers that depend on their order only."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def add(self, kind: str, **fields: str) -> str:
        """Add an object, and return its identifier."""
        identifier = f"ED{len(self.entries) + 1:022X}"
        text = "".join(f"\t\t\t{key} = {value};\n" for key, value in fields.items())
        self.entries.append(f"\t\t{identifier} = {{\n\t\t\tisa = {kind};\n{text}\t\t}};\n")
        return identifier


def project(module: str, *, sources: Sequence[str], resources: Sequence[str], system: str) -> str:
    """Return the content of `project.pbxproj`.

    Args:
        module: name of the package's library.
        sources: paths of the tests' sources, from the project's folder.
        resources: paths of the files that they read.
        system: oldest iOS version: "17".
    """
    objects = _Objects()
    package = objects.add("XCLocalSwiftPackageReference", relativePath='".."')
    library = objects.add("XCSwiftPackageProductDependency", productName=module)
    host_file = _file(objects, "Host.swift")
    files = {path: _file(objects, path) for path in (*sources, *resources)}
    app = _product(objects, "Host.app", "wrapper.application")
    bundle = _product(objects, f"{NAME}.xctest", "wrapper.cfbundle")
    products = objects.add("PBXGroup", children=_list(app, bundle), name="Products", sourceTree='"<group>"')
    group = objects.add("PBXGroup", children=_list(host_file, *files.values(), products), sourceTree='"<group>"')
    host = _target(
        objects,
        "Host",
        kind="application",
        product=app,
        phases=[_phase(objects, "Sources", [_built(objects, host_file)])],
        settings={
            "PRODUCT_BUNDLE_IDENTIFIER": f"{BUNDLE}.{module}.host",
            "INFOPLIST_KEY_UILaunchScreen_Generation": "YES",
        },
    )
    proxy = objects.add(
        "PBXContainerItemProxy",
        containerPortal=PROJECT,
        proxyType="1",
        remoteGlobalIDString=host,
        remoteInfo="Host",
    )
    dependency = objects.add("PBXTargetDependency", target=host, targetProxy=proxy)
    linked = objects.add("PBXBuildFile", productRef=library)
    tests = _target(
        objects,
        NAME,
        kind="bundle.unit-test",
        product=bundle,
        phases=[
            _phase(objects, "Sources", [_built(objects, files[path]) for path in sources]),
            _phase(objects, "Frameworks", [linked]),
            _phase(objects, "Resources", [_built(objects, files[path]) for path in resources]),
        ],
        settings={
            "PRODUCT_BUNDLE_IDENTIFIER": f"{BUNDLE}.{module}.tests",
            "TEST_HOST": '"$(BUILT_PRODUCTS_DIR)/Host.app/Host"',
            "BUNDLE_LOADER": '"$(TEST_HOST)"',
        },
        dependencies=[dependency],
        products=[library],
    )
    root = objects.add(
        "PBXProject",
        attributes="{ LastUpgradeCheck = 1500; }",
        buildConfigurationList=_configurations(objects, _shared_settings(system)),
        compatibilityVersion='"Xcode 15.0"',
        mainGroup=group,
        packageReferences=_list(package),
        productRefGroup=products,
        targets=_list(host, tests),
    )
    body = "".join(objects.entries).replace(PROJECT, root)
    return (
        "// !$*UTF8*$!\n{\n\tarchiveVersion = 1;\n\tclasses = {\n\t};\n\tobjectVersion = 60;\n"
        f"\tobjects = {{\n{body}\t}};\n\trootObject = {root};\n}}\n"
    )


def _shared_settings(system: str) -> dict[str, str]:
    return {
        "CODE_SIGN_STYLE": "Automatic",
        "ENABLE_TESTABILITY": "YES",
        "GENERATE_INFOPLIST_FILE": "YES",
        "IPHONEOS_DEPLOYMENT_TARGET": f"{system}.0",
        "MARKETING_VERSION": "1.0",
        "CURRENT_PROJECT_VERSION": "1",
        "PRODUCT_NAME": '"$(TARGET_NAME)"',
        "SDKROOT": "iphoneos",
        "SWIFT_VERSION": "5.0",
        "TARGETED_DEVICE_FAMILY": '"1,2"',
    }


def _file(objects: _Objects, path: str) -> str:
    kind = {"swift": "sourcecode.swift", "json": "text.json"}[path.rpartition(".")[2]]
    name = path.rpartition("/")[2]
    return objects.add(
        "PBXFileReference", lastKnownFileType=kind, name=f'"{name}"', path=f'"{path}"', sourceTree='"<group>"'
    )


def _product(objects: _Objects, name: str, kind: str) -> str:
    return objects.add("PBXFileReference", explicitFileType=kind, path=f'"{name}"', sourceTree="BUILT_PRODUCTS_DIR")


def _built(objects: _Objects, file: str) -> str:
    return objects.add("PBXBuildFile", fileRef=file)


def _phase(objects: _Objects, kind: str, files: Sequence[str]) -> str:
    return objects.add(f"PBX{kind}BuildPhase", files=_list(*files))


def _target(
    objects: _Objects,
    name: str,
    *,
    kind: str,
    product: str,
    phases: Sequence[str],
    settings: dict[str, str],
    dependencies: Sequence[str] = (),
    products: Sequence[str] = (),
) -> str:
    return objects.add(
        "PBXNativeTarget",
        buildConfigurationList=_configurations(objects, settings),
        buildPhases=_list(*phases),
        buildRules="()",
        dependencies=_list(*dependencies),
        name=name,
        packageProductDependencies=_list(*products),
        productName=name,
        productReference=product,
        productType=f'"com.apple.product-type.{kind}"',
    )


def _configurations(objects: _Objects, settings: dict[str, str]) -> str:
    text = "".join(f"{key} = {value}; " for key, value in settings.items())
    made = [
        objects.add("XCBuildConfiguration", buildSettings=f"{{ {text}}}", name=name) for name in ("Debug", "Release")
    ]
    return objects.add(
        "XCConfigurationList",
        buildConfigurations=_list(*made),
        defaultConfigurationIsVisible="0",
        defaultConfigurationName="Release",
    )


def _list(*items: str) -> str:
    return f"({' '.join(f'{item},' for item in items)})"


def scheme(tests: str) -> str:
    """Return the content of the shared scheme, whose test action runs all tests in their host.

    Args:
        tests: identifier of the test target in the project.
    """
    reference = (
        f'BuildableIdentifier = "primary" BlueprintIdentifier = "{tests}" BuildableName = "{NAME}.xctest" '
        f'BlueprintName = "{NAME}" ReferencedContainer = "container:{NAME}.xcodeproj"'
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Scheme LastUpgradeVersion = "1500" version = "1.7">
   <BuildAction parallelizeBuildables = "YES" buildImplicitDependencies = "YES"/>
   <TestAction buildConfiguration = "Debug" selectedDebuggerIdentifier = "" selectedLauncherIdentifier = \
"Xcode.IDEFoundation.Launcher.PosixSpawn" shouldUseLaunchSchemeArgsEnv = "YES">
      <Testables>
         <TestableReference skipped = "NO" parallelizable = "NO">
            <BuildableReference {reference}/>
         </TestableReference>
      </Testables>
   </TestAction>
</Scheme>
"""


def test_target(content: str) -> str:
    """Return the identifier of the test target in a project."""
    before = content.split(f"\t\t\tname = {NAME};\n", maxsplit=1)[0]
    return before.rpartition(" = {\n\t\t\tisa = PBXNativeTarget;")[0].rpartition("\t\t")[2]
