"""What is built, how it is proven, and where it is measured."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from edgedistill.recipe.section import Scalar, Section, Share


class TargetChoice(Section):
    """One thing to build."""

    target: str
    """Name of the target: see `edgedistill targets`."""
    profile: str
    """Name of the device profile of that target."""
    options: dict[str, Scalar] = {}
    """What else this target can be told, such as `dla: true`: see its README."""

    @property
    def title(self) -> str:
        """The choice in one word: "jetson-tensorrt/agx-orin+dla=true"."""
        return f"{self.target}/{self.profile}{self._suffix}"

    @property
    def configured(self) -> str:
        """The profile with its options: "agx-orin+dla=true"."""
        return f"{self.profile}{self._suffix}"

    @property
    def folder_name(self) -> str:
        """Name of a folder for this choice alone: "jetson-tensorrt-agx-orin-dla-true"."""
        return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in self.title)

    @property
    def _suffix(self) -> str:
        return "".join(f"+{name}={json.dumps(value)}" for name, value in sorted(self.options.items()))


class Emulate(StrEnum):
    """Whether to run the artifact on the emulated ARM64 board."""

    AUTO = "auto"
    NEVER = "never"
    REQUIRE = "require"


class Verify(Section):
    """The proof that an artifact computes what was trained."""

    samples: int | None = Field(default=None, ge=1)
    """Evaluation samples to compare on; none means all."""
    min_top1_agreement: Share = 0.9999
    """Least share of samples on which program and artifact name the same class; a gate. Where the artifact computes in
    another arithmetic (fp16), a target may ask for less; a lower share here counts there too."""
    max_steps: float = Field(default=1.0, ge=0, le=255)
    """Output steps within which an output counts as equal."""
    min_within_steps: Share = 0.999
    """Least share of outputs within `max_steps`; a gate."""
    min_integer_share: Share = 0.0
    """Least share of multiply-accumulates that the runtime computes with integers; a gate, unless it is 0."""
    emulate: Emulate = Emulate.AUTO
    """`auto` runs the emulated board where it can be had, else says "not run"; `require` stops there."""


DeviceName = Annotated[str, Field(min_length=1, max_length=200)]


class Bench(Section):
    """Latency on this workstation. It is labelled `host` and says nothing of the device."""

    processes: int = Field(default=5, ge=1, le=100)
    """Fresh processes."""
    samples: int = Field(default=205, ge=44, le=1_000_000)
    """Inferences per process after its first, at least; warm-up is found in them."""
    seconds: float = Field(default=5.0, ge=0, le=86_400)
    """Seconds of inference of all processes together, at least; below 60 the result is marked quick."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of the runtime."""
    devices: tuple[DeviceName, ...] = Field(default=(), max_length=256)
    """Devices to verify and measure on: addresses (`ssh://USER@HOST`, `adb:SERIAL`), or names of devices.toml."""
