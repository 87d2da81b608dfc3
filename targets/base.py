"""The contract every deployment target keeps, and the values it exchanges with the rest."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from edgedistill.errors import DependencyError, GateError, UnsupportedError, nearest
from edgedistill.quantize.spec import QuantSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import Preprocessing
    from edgedistill.data.transfer_set import Raw
    from edgedistill.evaluate.executor import Executor
    from edgedistill.quantize.program import QuantizedProgram

__all__ = [
    "About",
    "Artifact",
    "ArtifactFile",
    "ChecksFiles",
    "ChecksPurpose",
    "DeviceProfile",
    "FileCheck",
    "Inspection",
    "Inspects",
    "Issue",
    "NeedsApp",
    "Package",
    "Purpose",
    "QuantSpec",
    "QuantizedTensor",
    "Severity",
    "StatesNeeds",
    "StatesSamples",
    "StatesTasks",
    "TakesOptions",
    "Target",
    "profiles_from_folder",
]


class Severity(StrEnum):
    """What a broken rule does."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"  # nothing is wrong; good to know


@dataclass(frozen=True)
class Issue:
    """One broken rule: which node, which rule, what happens, and the fix."""

    rule: str
    node: str
    severity: Severity
    message: str
    fix: str


@dataclass(frozen=True)
class DeviceProfile:
    """What is known of a device model.

    Args:
        name: the profile's name: "raspberry-pi-5".
        title: the device's own name: "Raspberry Pi 5".
        facts: everything else: cpu, cores, memory_bytes, features, runtime, sources.
        options: what the recipe's `targets[].options` say for this target.
    """

    name: str
    title: str
    facts: Mapping[str, object]
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class QuantizedTensor:
    """The codes, scale and zero point of one tensor; `codes` is None for an activation.

    Args:
        codes: int8 or int32 codes as stored, or None.
        scale: () or (channels,), float32.
        zero_point: () or (channels,), integer.
    """

    codes: NDArray[np.signedinteger] | None
    scale: NDArray[np.float32]
    zero_point: NDArray[np.integer]


@dataclass(frozen=True)
class About:
    """What a model's file says of its origin, where its format has a place for it.

    Args:
        author: who made it.
        license: under which terms it may be used.
        version: the author's own.
        description: one line.
    """

    author: str = ""
    license: str = ""
    version: str = ""
    description: str = ""


@dataclass(frozen=True)
class Purpose:
    """What an artifact is to do, as far as a recipe alone tells.

    Args:
        task: what the outputs are: "classification", "embedding" or "segmentation".
        preprocessing: from raw sample to model input.
    """

    task: str
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Package:
    """What an artifact carries besides the model.

    Args:
        name: the recipe's name.
        classes: class names in label order.
        preprocessing: from raw sample to model input.
        golden_raw: (n, *raw_shape) raw samples that the runner checks itself with.
        assets: content of the files that the preprocessing names, by name: a tokenizer.
        task: what the outputs are: "classification"; "embedding", which has no classes; or "segmentation", a class for
            every pixel.
        about: what the model's file says of its origin.
        synthetic: what made the samples that the model learned from, where no sensor or person did.
    """

    name: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    golden_raw: Raw
    assets: Mapping[str, bytes] = field(default_factory=dict)
    task: str = "classification"
    about: About = field(default_factory=About)
    synthetic: str = ""

    @property
    def purpose(self) -> Purpose:
        """What the artifact is to do."""
        return Purpose(self.task, self.preprocessing)

    @property
    def origin(self) -> dict[str, str]:
        """What a manifest says of the data; nothing where they were recorded."""
        return {"synthetic": self.synthetic} if self.synthetic else {}


@dataclass(frozen=True)
class ArtifactFile:
    """One file of an artifact."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """A folder that goes to the device: model, manifest, preprocessing, labels, golden samples, runner.

    Args:
        folder: where it is.
        target: name of the target that built it.
        profile: name of the device profile.
        model: path of the model inside the folder: a file, or a folder where the format is one (`.mlpackage`).
        files: every file, hashed.
        notes: what a reader of the report should know.
    """

    folder: Path
    target: str
    profile: str
    model: str
    files: tuple[ArtifactFile, ...]
    notes: tuple[str, ...] = field(default=())


class Target(Protocol):
    """A place where models are deployed. One implementation per folder, found through entry points."""

    name: ClassVar[str]

    def profiles(self) -> Mapping[str, DeviceProfile]:
        """Return the known device models by name."""

    def quant_spec(self, profile: DeviceProfile) -> QuantSpec:
        """Return how this device wants numbers."""

    def check(self, program: QuantizedProgram, profile: DeviceProfile) -> Sequence[Issue]:
        """Return the broken rules, before any work; pure."""

    def build(self, program: QuantizedProgram, profile: DeviceProfile, *, package: Package, into: Path) -> Artifact:
        """Write the artifact's folder; the same program gives the same bytes."""

    def read_back(self, artifact: Artifact) -> Mapping[str, QuantizedTensor]:
        """Return codes, scales and zero points by tensor name, from the saved file."""

    def executors(self, artifact: Artifact) -> Sequence[Executor]:
        """Return the ways to run the artifact without the device, each labelled."""


@dataclass(frozen=True)
class Inspection:
    """What was found in a saved model by reading it, without running it; a gate of `verify`.

    Args:
        name: what was looked at.
        label: by what, and what that is not.
        passed: none where it could not be done here.
        found: one line.
        wanted: one line.
        details: for machines; must have a JSON form.
    """

    name: str
    label: str
    passed: bool | None
    found: str
    wanted: str
    details: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Inspects(Protocol):
    """A target that can look into a saved artifact without running it."""

    def inspections(self, artifact: Artifact) -> Sequence[Inspection]:
        """Return what was found, "not run" where a tool is missing."""


@dataclass(frozen=True)
class FileCheck:
    """What was found in a model file.

    Args:
        title: what it was judged for: "TensorRT 10.3".
        issues: the broken rules.
    """

    title: str
    issues: Sequence[Issue]


@runtime_checkable
class ChecksFiles(Protocol):
    """A target that judges any model file, not only those that edgedistill wrote."""

    def check_file(self, path: Path, profile: DeviceProfile | None, options: Mapping[str, str]) -> FileCheck:
        """Return the broken rules of a model file; without a profile for what the target takes as usual."""

    def inspect_file(self, path: Path) -> Sequence[Inspection]:
        """Return what the vendor's own tools make of a model file, "not run" where one is missing."""


@runtime_checkable
class TakesOptions(Protocol):
    """A target that a recipe can tell more than a profile."""

    def check_options(self, profile: DeviceProfile) -> None:
        """Refuse options of `profile.options` that are not known or do not go with the profile."""


@runtime_checkable
class StatesTasks(Protocol):
    """A target that says which tasks it takes, by their names in a recipe; others take those of `USUAL_TASKS`."""

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the tasks."""


@runtime_checkable
class StatesSamples(Protocol):
    """A target that says which samples it takes, by their kinds in a recipe; others take those of `USUAL_SAMPLES`."""

    @property
    def samples(self) -> frozenset[str]:
        """Kinds of preprocessing."""


@runtime_checkable
class ChecksPurpose(Protocol):
    """A target that refuses more of a recipe than tasks and samples: what goes with one profile and not with another.

    It is asked before any work.
    """

    def check_purpose(self, purpose: Purpose, profile: DeviceProfile) -> None:
        """Refuse what there is no form for, by an `UnsupportedError`."""


@runtime_checkable
class StatesNeeds(Protocol):
    """A target that needs packages or tools which come without being asked for nowhere."""

    def lacking(self, profile: DeviceProfile) -> Sequence[Issue]:
        """Return what is missing on this machine; loads nothing.

        An error where nothing can be built without it, a note where the result only says "not run" in a place. Of each
        `node` is the package and `fix` the command that mends it.
        """


@runtime_checkable
class NeedsApp(Protocol):
    """A target whose artifact is a part of an app: nothing in it can be started on a device by a command."""

    @property
    def measured_by(self) -> str:
        """How it is verified and measured on a device instead, for a message: "`edgedistill ...`"."""


USUAL_TASKS = frozenset({"classification", "embedding"})
USUAL_SAMPLES = frozenset({"image", "array"})


def require_purpose(target: Target, profile: DeviceProfile, purpose: Purpose) -> None:
    """Refuse a task or a kind of sample that a target has no form for.

    Raises:
        UnsupportedError: it has none.
    """
    if isinstance(target, ChecksPurpose):
        target.check_purpose(purpose, profile)
    tasks = target.tasks if isinstance(target, StatesTasks) else USUAL_TASKS
    if purpose.task not in tasks:
        raise UnsupportedError(
            f"target '{target.name}'",
            found=f"'task: {purpose.task}'",
            wanted=" or ".join(sorted(tasks)),
            fix="choose another of `edgedistill targets`",
        )
    kinds = target.samples if isinstance(target, StatesSamples) else USUAL_SAMPLES
    if purpose.preprocessing.kind not in kinds:
        raise UnsupportedError(
            f"target '{target.name}'",
            found=f"'data.preprocessing.kind: {purpose.preprocessing.kind}'",
            wanted=" or ".join(sorted(kinds)),
            fix="choose another of `edgedistill targets`",
        )


def require_unbroken(issues: Sequence[Issue]) -> None:
    """Refuse to build what a target's rules do not allow.

    Raises:
        GateError: a rule of severity error is broken; names the first.
    """
    first = next((issue for issue in issues if issue.severity is Severity.ERROR), None)
    if first is not None:
        raise GateError(f"rule {first.rule}, {first.node}", found=first.message, fix=first.fix)


def require_packages(target: Target, profile: DeviceProfile) -> None:
    """Refuse a target that lacks what it needs to build.

    Raises:
        DependencyError: a package or a tool is missing.
    """
    for issue in target.lacking(profile) if isinstance(target, StatesNeeds) else ():
        if issue.severity is Severity.ERROR:
            raise DependencyError(f"target '{target.name}'", found=issue.message, fix=issue.fix)


def profiles_from_folder(folder: Path) -> dict[str, DeviceProfile]:
    """Return the device profiles of a folder of TOML files by name; each has `title` and its facts."""
    profiles = {}
    for path in sorted(folder.glob("*.toml")):
        facts = tomllib.loads(path.read_text("utf-8"))
        title = str(facts.pop("title"))
        profiles[path.stem] = DeviceProfile(name=path.stem, title=title, facts=facts)
    return profiles


def profile_named(target: Target, name: str, options: Mapping[str, object] | None = None) -> DeviceProfile:
    """Return one profile of a target, with the recipe's options.

    Raises:
        UnsupportedError: the target has no such profile, cannot build for it, or has no such option.
    """
    profiles = target.profiles()
    if name not in profiles:
        raise UnsupportedError(
            f"profile '{name}' of target '{target.name}'", found="not known", fix=nearest(name, profiles)
        )
    profile = replace(profiles[name], options=dict(options or {}))
    if "refused" in profile.facts:
        raise UnsupportedError(f"profile '{name}' of target '{target.name}'", found=str(profile.facts["refused"]))
    if isinstance(target, TakesOptions):
        target.check_options(profile)
    elif options:
        raise UnsupportedError(f"options of target '{target.name}'", found=", ".join(options), wanted="none")
    return profile
