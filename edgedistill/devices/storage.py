"""A device's own files, when the device is this workstation: a folder that is gone when the device is."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path, PurePosixPath

from edgedistill.errors import DeviceError


class Storage:
    """A folder for what is copied to a device, made when first needed and removed with the object.

    Args:
        device: whose name errors carry.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    @cached_property
    def folder(self) -> Path:
        """The folder, among the system's temporary ones."""
        folder = Path(tempfile.mkdtemp(prefix="edgedistill-device-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def push(self, folder: Path) -> PurePosixPath:
        """Copy a folder in, under a name that no other push has, and return its path.

        Raises:
            DeviceError: there is no such folder, or no room for it.
        """
        place = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=self.folder))
        try:
            shutil.copytree(folder, place, dirs_exist_ok=True)
        except OSError as error:
            raise DeviceError(f"copy of '{folder}' to {self.device}", found=str(error)) from error
        return PurePosixPath(place)

    def pull(self, path: PurePosixPath, into: Path) -> None:
        """Copy one file out, whole or not at all.

        Raises:
            DeviceError: there is no such file, or it is not one of this device's.
        """
        source = Path(path)
        if not source.resolve().is_relative_to(self.folder.resolve()):
            raise DeviceError(f"file '{path}' of {self.device}", found="a path out of the device's own folder")
        beside = into.with_name(f".{into.name}.partial")
        try:
            shutil.copyfile(source, beside)
            beside.replace(into)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise DeviceError(f"file '{path}' of {self.device}", found=str(error)) from error
