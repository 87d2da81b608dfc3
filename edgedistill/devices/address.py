"""Addresses of devices as a user writes them: `local`, `emulated:cortex-a72`, `ssh://pi@kitchen`, `adb:SERIAL`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgedistill.devices.openssh import SshAddress
from edgedistill.errors import InputError

LOCAL = "local"
EMULATED = "emulated"
FORMS = "local, emulated:CPU, ssh://USER@HOST[:PORT], adb:SERIAL, or a name of devices.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._%:-]{0,252}")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:()-]{0,99}")


@dataclass(frozen=True)
class LocalAddress:
    """This workstation."""


@dataclass(frozen=True)
class EmulatedAddress:
    """An emulated CPU whose programs run as processes of this workstation; none means the usual model."""

    cpu_model: str | None


@dataclass(frozen=True)
class AdbAddress:
    """A device of adb."""

    serial: str


@dataclass(frozen=True)
class NameAddress:
    """A name of the inventory."""

    name: str


Address = LocalAddress | EmulatedAddress | SshAddress | AdbAddress | NameAddress


def address_from_text(text: str) -> Address:
    """Return what an address names; whether it is there is not asked.

    Nothing that starts with `-` is an address, so that none becomes an option of ssh or adb.

    Raises:
        InputError: it has none of the forms.
    """
    if text == LOCAL:
        return LocalAddress()
    if text == EMULATED or text.startswith(f"{EMULATED}:"):
        return EmulatedAddress(text.partition(":")[2] or None)
    if text.startswith("ssh://"):
        return _ssh(text)
    if text.startswith("adb:"):
        serial = text.removeprefix("adb:")
        if not SERIAL.fullmatch(serial):
            raise InputError(
                f"device '{text}'", found="no serial number", wanted="adb:SERIAL as `adb devices` shows it"
            )
        return AdbAddress(serial)
    if NAME.fullmatch(text):
        return NameAddress(text)
    raise InputError(f"device '{text}'", found="no address", wanted=FORMS)


def _ssh(text: str) -> SshAddress:
    thing = f"device '{text}'"
    wanted = "ssh://USER@HOST[:PORT]"
    try:
        parts = urlsplit(text)
        host, user, port = parts.hostname, parts.username, parts.port
    except ValueError as error:
        raise InputError(thing, found=str(error), wanted=wanted) from error
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(
            thing, found="more than an address", wanted=f"{wanted}; the folder there is set in devices.toml"
        )
    if parts.password is not None:
        raise InputError(thing, found="a password", wanted=wanted, fix="use a key: ssh-copy-id")
    if host is None or not HOST.fullmatch(host):
        raise InputError(thing, found="no host", wanted=wanted)
    if user is not None and not USER.fullmatch(user):
        raise InputError(thing, found=f"the user {user!r}", wanted=wanted)
    # urlsplit gives the host in small letters; names of ~/.ssh/config have both
    written = parts.netloc.rpartition("@")[2]
    exact = written[: len(host)] if written.lower().startswith(host) else host
    return SshAddress(host=exact, user=user, port=port)
