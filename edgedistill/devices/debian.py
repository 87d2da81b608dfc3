"""Takes packages from a Debian mirror through an apt state of its own: the host's is read, never changed.

No root is needed: apt's lists, cache and settings live in a folder of ours, and packages are unpacked, not installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.devices.host_tools import last_words, run_tool
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FALLBACK_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Read after the host's own settings, so that its proxy and its credentials hold and its hooks do not.
SETTINGS = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{state}/state";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Etc::sourcelist "{state}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""


@dataclass(frozen=True)
class Source:
    """Where packages come from.

    Args:
        mirror: address of a Debian mirror.
        suite: release of Debian: "bookworm".
        architecture: Debian's name of it: "arm64".
    """

    mirror: str
    suite: str
    architecture: str


def mirrors() -> tuple[str, ...]:
    """Return the addresses to try in turn: those of this machine's own apt, then Debian's general one."""
    command = ("apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)", "Created-By: Packages")
    done = run_tool(*command)
    return (*mirrors_from_targets(done.stdout), FALLBACK_MIRROR)


def mirrors_from_targets(listing: str) -> tuple[str, ...]:
    """Return Debian's own archives out of lines `ADDRESS|ORIGIN`, each once, without the fallback.

    The origin is empty where apt has not fetched its lists yet; then the address has to end as Debian's do.
    """
    found = []
    for line in listing.splitlines():
        address, _, origin = line.partition("|")
        address = address.rstrip("/")
        if origin in ("Debian", "") and re.match(r"(https?|file):.*/debian$", address) and address != FALLBACK_MIRROR:
            found.append(address)
    return tuple(dict.fromkeys(found))


def missing_tools() -> str:
    """Return what this machine lacks to take packages from Debian; empty when nothing."""
    tools = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if tools:
        return f"no {' and no '.join(tools)} (Debian's and Ubuntu's package tools)"
    if not os.path.exists(KEYRING):  # noqa: PTH110 - a plain question about a fixed path
        return f"no {KEYRING} to check Debian's signatures with (package debian-archive-keyring)"
    return ""


def download_from_any(packages: Sequence[str], *, suites: Sequence[str], architecture: str, into: Path) -> None:
    """Download packages from the first mirror and suite that has them.

    Args:
        packages: names, without their dependencies.
        suites: releases of Debian to try in turn.
        architecture: Debian's name of it: "arm64".
        into: folder for the `.deb` files; exists.

    Raises:
        DependencyError: none has them; says what each of them answered.
    """
    reasons = []
    for source in (Source(mirror, suite, architecture) for suite in suites for mirror in mirrors()):
        try:
            download(packages, source, into=into)
        except DependencyError as error:
            reasons.append(f"{source.mirror} {source.suite}: {error.found}")
        else:
            return
    raise DependencyError(
        f"packages of Debian for {architecture}",
        found="; ".join(reasons),
        fix="check the network, then start again: it goes on there",
    )


def download(packages: Sequence[str], source: Source, *, into: Path) -> None:
    """Download packages, checked by apt against the signed lists of the archive.

    Args:
        packages: names, without their dependencies.
        source: where from.
        into: folder for the `.deb` files, and for apt's own in `apt/`; exists.

    Raises:
        DependencyError: the mirror does not answer, does not have them, or does not sign what it sends.
    """
    settings = _private_state(source, into / "apt")
    _apt_get("update", settings=settings, folder=into)
    _apt_get("download", *packages, settings=settings, folder=into)


def unpack(package: Path, into: Path) -> None:
    """Unpack the files of a `.deb`; nothing in it is run.

    Raises:
        DependencyError: the file is damaged, or there is no room.
    """
    done = run_tool("dpkg-deb", "--extract", str(package), str(into))
    if done.returncode:
        raise DependencyError(f"package '{package.name}'", found=last_words(done))


def unpack_one(package: Path, member: str, into: Path) -> None:
    """Write one file of a `.deb` and leave the rest.

    Args:
        package: the `.deb`.
        member: path in it: "./usr/bin/qemu-aarch64".
        into: path of the file to write.

    Raises:
        DependencyError: the package has no such file.
    """
    command = ("dpkg-deb", "--fsys-tarfile", str(package))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - a fixed program, no shell
        assert process.stdout is not None  # noqa: S101 - because of PIPE
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            found = next((entry for entry in archive if entry.name == member and entry.isfile()), None)
            content = archive.extractfile(found) if found else None
            if content is None:
                raise DependencyError(f"package '{package.name}'", found=f"no file '{member}'")
            with into.open("wb") as file:
                shutil.copyfileobj(content, file)
        process.kill()  # the rest of the archive is not read


def _private_state(source: Source, state: Path) -> Path:
    """Write apt's settings, return their path."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").write_text("", "utf-8")
    line = f"deb [arch={source.architecture} signed-by={KEYRING}] {source.mirror} {source.suite} main\n"
    (state / "sources.list").write_text(line, "utf-8")
    settings = state / "apt.conf"
    settings.write_text(SETTINGS.format(state=state, architecture=source.architecture), "utf-8")
    return settings


def _apt_get(verb: str, *arguments: str, settings: Path, folder: Path) -> None:
    done = run_tool("apt-get", "--quiet", "--config-file", str(settings), verb, *arguments, folder=folder)
    if done.returncode:
        raise DependencyError(f"`apt-get {verb}`", found=last_words(done))
