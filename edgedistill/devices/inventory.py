"""The inventory `devices.toml`: names for devices, and what cannot be said in an address.

Two files are read, the project's over the user's: `devices.toml` in the current folder, and
`~/.config/edgedistill/devices.toml`. Emulated boards that run are in it by their names.

    [devices.kitchen]
    address = "ssh://pi@192.168.1.20"
    python = "/home/pi/venv/bin/python3"     # the device's Python with numpy and onnxruntime
    folder = "/data/edgedistill"             # where we keep files there
    ssh_config = "lab_ssh_config"            # instead of the user's; relative to this file
    timeout_s = 1800                         # of one job there
    busy_s = 600                             # to wait while another user has the board
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedistill.devices.adb import Adb
from edgedistill.devices.address import (
    NAME,
    AdbAddress,
    EmulatedAddress,
    LocalAddress,
    NameAddress,
    address_from_text,
)
from edgedistill.devices.openssh import OpenSsh, SshAddress
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import InputError, nearest

if TYPE_CHECKING:
    from edgedistill.devices.base import Device
    from edgedistill.progress import Progress

FILE = "devices.toml"
LARGEST_BYTES = 2**20
DEFAULT_TIMEOUT_S = 3600.0
DEFAULT_BUSY_S = 600.0


class Entry(BaseModel):
    """One device of the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    address: str
    """`ssh://...`, `adb:...`, `emulated:...` or `local`."""
    python: str = Field(default="python3", pattern=r"^[A-Za-z0-9/._-]+$")
    """The device's Python."""
    folder: str | None = Field(default=None, pattern=r"^/[A-Za-z0-9/._-]+$")
    """Folder on the device for what we keep there."""
    ssh_config: str | None = None
    """Configuration for ssh instead of the user's, relative to the inventory's file."""
    adb: str | None = None
    """Path of the adb client, relative to the inventory's file."""
    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0, le=7 * 86400)
    """Longest time of one job."""
    busy_s: float = Field(default=DEFAULT_BUSY_S, ge=0, le=7 * 86400)
    """Longest wait while another user has the device."""


@dataclass(frozen=True)
class Listed:
    """A device that can be named.

    Args:
        name: by which `--device` knows it; for an address, the address.
        entry: how it is reached.
        source: file that says so, or what stands for one; relative paths of the entry start in its folder.
    """

    name: str
    entry: Entry
    source: Path | None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    devices: dict[str, Entry] = {}


def inventory_files(project: Path | None = None) -> tuple[Path, ...]:
    """Return where inventories may be, the weaker first: the user's, then the project's."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "edgedistill" / FILE
    return (user, (project or Path.cwd()) / FILE)


def inventory(project: Path | None = None) -> dict[str, Listed]:
    """Return every device that has a name: running emulated boards, the user's, the project's.

    Raises:
        InputError: a file is no inventory.
    """
    found = {board.name: board for board in _running_boards()}
    for path in inventory_files(project):
        if path.is_file():
            found.update({name: Listed(name, entry, path) for name, entry in _entries(path).items()})
    return found


def listed(text: str, *, project: Path | None = None) -> Listed:
    """Return the device that an address or a name stands for.

    Raises:
        InputError: it is neither.
    """
    address = address_from_text(text)
    if not isinstance(address, NameAddress):
        return Listed(text, Entry(address=text), None)
    known = inventory(project)
    if address.name not in known:
        fix = f"{nearest(address.name, known)}; or give an address: ssh://USER@HOST, adb:SERIAL"
        raise InputError(f"device '{address.name}'", found="not in devices.toml", fix=fix)
    return known[address.name]


def reached(item: Listed, *, progress: Progress | None = None) -> Device:
    """Return the device; it is connected to when something is first asked of it.

    Raises:
        InputError: its address has no known form.
        DependencyError: this machine has no ssh, or no adb.
        UnsupportedError: an emulated CPU model that is not known.
    """
    entry = item.entry
    folder = PurePosixPath(entry.folder) if entry.folder else None
    match address_from_text(entry.address):
        case LocalAddress():
            from edgedistill.devices.local import Local  # noqa: PLC0415 - only when asked for

            return Local()
        case EmulatedAddress(cpu_model):
            from edgedistill.devices.emulated import DEFAULT_CPU_MODEL, EmulatedArm  # noqa: PLC0415 - as above
            from edgedistill.progress import SILENT  # noqa: PLC0415 - as above

            return EmulatedArm(cpu_model or DEFAULT_CPU_MODEL, progress=progress or SILENT)
        case SshAddress() as address:
            config = _beside(item, entry.ssh_config)
            return RemoteDevice(OpenSsh(address, name=item.name, config=config, folder=folder), python=entry.python)
        case AdbAddress(serial):
            adb = Adb(serial, name=item.name, program=_beside(item, entry.adb), folder=folder)
            return RemoteDevice(adb, python=entry.python)
        case NameAddress(name):
            raise InputError(f"device '{item.name}'", found=f"the address '{name}'", wanted="ssh://..., adb:..., local")


def _beside(item: Listed, path: str | None) -> Path | None:
    if path is None:
        return None
    return (item.source.parent if item.source else Path.cwd()) / Path(path).expanduser()


def _entries(path: Path) -> dict[str, Entry]:
    thing = f"inventory '{path}'"
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(thing, found=f"{path.stat().st_size:,} bytes", wanted="a list of devices")
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).devices
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(thing, found=f"no TOML: {error}") from error
    except ValidationError as error:
        raise InputError(thing, found="; ".join(_problem(item) for item in error.errors())) from error
    for name in entries:
        if not NAME.fullmatch(name) or name in ("local", "emulated"):
            raise InputError(thing, found=f"the name '{name}'", wanted="letters, digits, '.', '_' and '-'")
        address_from_text(entries[name].address)
    return entries


def _problem(item: object) -> str:
    """Return one of pydantic's problems with the keys that exist, where the key does not."""
    assert isinstance(item, dict)  # noqa: S101 - pydantic's own
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        valid = Entry.model_fields if len(item["loc"]) > 1 else _File.model_fields
        return f"'{place}' is not known; {nearest(str(item['loc'][-1]), valid)}"
    return f"'{place}': {item['msg']}"


def _running_boards() -> list[Listed]:
    from edgedistill.devices.emulation.boards import Link, boards  # noqa: PLC0415 - only when names are looked up

    return [
        Listed(
            board.name,
            Entry(address=board.address, ssh_config=str(board.ssh_config))
            if board.choice.link is Link.SSH
            else Entry(address=board.address, adb=str(board.adb)),
            board.folder / "board.json",
        )
        for board in boards()
        if board.running
    ]
