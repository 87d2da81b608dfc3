"""The oldest system a package runs on, and what that decides about its form."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from edgedistill.errors import UnsupportedError

if TYPE_CHECKING:
    from edgedistill.targets.base import DeviceProfile


class Deployment(StrEnum):
    """Oldest system version. Integer activations exist since iOS 17 (operators `quantize` and `dequantize`)."""

    IOS17 = "iOS17"
    IOS18 = "iOS18"
    IOS26 = "iOS26"

    @property
    def specification(self) -> int:
        """Version of the model format. Source: coremltools 9.0, `ct.target`."""
        return {"iOS17": 8, "iOS18": 9, "iOS26": 10}[self]

    @property
    def number(self) -> str:
        """The system's version: "17"."""
        return self.removeprefix("iOS")

    @property
    def suffix(self) -> str:
        """End of a profile's name; none for the first, which is what a profile stands for by itself."""
        return "" if self is Deployment.IOS17 else f"-{self.lower()}"


def deployment_of(profile: DeviceProfile) -> Deployment:
    """Return the oldest system that a profile builds for.

    Raises:
        UnsupportedError: the profile names none that is known.
    """
    named = str(profile.facts.get("deployment"))
    if named not in list(Deployment):
        raise UnsupportedError(f"profile '{profile.name}'", found=f"deployment {named!r}", wanted=", ".join(Deployment))
    return Deployment(named)
