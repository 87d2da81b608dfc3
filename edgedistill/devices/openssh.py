"""SSH by OpenSSH's own client: the user's configuration, keys, agent, jump hosts and known hosts hold."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgedistill.devices.tool import run_client
from edgedistill.errors import DependencyError, DeviceError, UnreachableError

if TYPE_CHECKING:
    from edgedistill.devices.base import Completed

CONNECT_TIMEOUT_S = 15
KEEP_S = 120
"""How long the connection is kept after its last use, for the next command."""
FAILED = 255
"""What ssh returns when the connection, and not the command, failed."""
LOCK = PurePosixPath("/tmp/edgedistill.lock")  # noqa: S108 - of the device, where all its users can write
OPTIONS = (
    "BatchMode=yes",  # no question that nobody would answer
    "StrictHostKeyChecking=yes",
    f"ConnectTimeout={CONNECT_TIMEOUT_S}",
    "ServerAliveInterval=5",  # a device that lost its power is noticed after 20 s
    "ServerAliveCountMax=4",
    "ControlMaster=auto",
    f"ControlPersist={KEEP_S}",
    "ForwardAgent=no",
    "ForwardX11=no",
    "RequestTTY=no",
    "LogLevel=ERROR",
)
REFUSALS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        "its host key is not the one in known_hosts, so nothing was sent to it",
        (
            "if the device was set up anew, remove the old key with `ssh-keygen -R HOST`, log in once with `{login}` "
            "and compare the fingerprint; else somebody stands in between"
        ),
    ),
    (
        "Host key verification failed|host key is known",
        "its host key is not in known_hosts",
        "log in once with `{login}` and compare the fingerprint it shows with the device's",
    ),
    (
        "Permission denied",
        "it refuses our key: {last}",
        "see that `{login}` works without a password: ssh-copy-id, ssh-add, or IdentityFile in ~/.ssh/config",
    ),
    (
        "Could not resolve hostname",
        "{last}",
        "check the name, or add it to ~/.ssh/config or devices.toml",
    ),
    (
        r"Bad configuration|unknown option|terminating, \d+ bad|Can't open user config",
        "{last}",
        "mend the SSH configuration",
    ),
)
"""What ssh says, what it means, and what to do: OpenSSH 9.2; its messages have not changed for years."""
LOST = (
    "timed out|Connection (refused|reset|closed)|No route|unreachable|Broken pipe|Timeout, server|mux_client|"
    "kex_exchange|Control socket|disconnected|banner exchange"
)


@dataclass(frozen=True)
class SshAddress:
    """Where a device is.

    Args:
        host: name or address, or a name of the user's SSH configuration.
        user: none means what the configuration says.
        port: none means the same.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}" + (f":{self.port}" if self.port else "")


class OpenSsh:
    """One SSH connection, shared by all commands to the device.

    Args:
        address: where the device is.
        name: how the user calls it; none means the address.
        config: an SSH configuration to use instead of the user's.
        folder: on the device, for what we keep there; none means `.edgedistill` in the user's home there.

    Raises:
        DependencyError: this machine has no ssh.
    """

    def __init__(
        self,
        address: SshAddress,
        *,
        name: str | None = None,
        config: Path | None = None,
        folder: PurePosixPath | None = None,
    ) -> None:
        if shutil.which("ssh") is None:
            raise DependencyError(f"device {address}", found="no ssh here", fix="apt-get install openssh-client")
        self.address, self._config, self._folder = address, config, folder
        self._name = name or str(address)

    @property
    def name(self) -> str:
        """How the user addresses it."""
        return self._name

    @property
    def lock(self) -> PurePosixPath:
        """The lock file of the device's users."""
        return LOCK

    @property
    def by_hand(self) -> str:
        """How the user logs in himself."""
        config = "" if self._config is None else f"-F {shlex.quote(str(self._config))} "
        port = f"-p {self.address.port} " if self.address.port else ""
        user = f"{self.address.user}@" if self.address.user else ""
        return f"ssh {config}{port}{user}{self.address.host}"

    def shell(self, script: str, *, timeout_s: float) -> Completed:
        """Run a script; see `Transport`."""
        return self._checked(self._ssh(script, timeout_s=timeout_s))

    def send(self, file: Path, to: PurePosixPath, *, timeout_s: float) -> Completed:
        """Copy a file there; see `Transport`."""
        return self._checked(self._ssh(f"cat > {shlex.quote(str(to))}", timeout_s=timeout_s, stdin=file))

    def fetch(self, path: PurePosixPath, into: Path, *, timeout_s: float) -> Completed:
        """Copy a file from there; see `Transport`."""
        return self._checked(self._ssh(f"cat {shlex.quote(str(path))}", timeout_s=timeout_s, stdout=into))

    def home(self) -> PurePosixPath:
        """Return the chosen folder, else `.edgedistill` in the user's home."""
        if self._folder is not None:
            return self._folder
        done = self.shell('printf "%s" "$HOME"', timeout_s=2 * CONNECT_TIMEOUT_S)
        if done.returncode or not done.stdout.startswith("/"):
            raise DeviceError(f"device {self.name}", found=f"no home folder there: {done.stdout or done.stderr}")
        return PurePosixPath(done.stdout) / ".edgedistill"

    def command(self) -> tuple[str, ...]:
        """Return the program and its options, up to the host."""
        config = () if self._config is None else ("-F", str(self._config))
        options = (part for option in (*OPTIONS, f"ControlPath={control_folder()}/%C") for part in ("-o", option))
        port = () if self.address.port is None else ("-p", str(self.address.port))
        user = () if self.address.user is None else ("-l", self.address.user)
        return ("ssh", *config, *options, *port, *user)

    def _ssh(
        self, script: str, *, timeout_s: float, stdin: Path | None = None, stdout: Path | None = None
    ) -> Completed:
        remote = f"exec sh -c {shlex.quote(script)}"  # the user's own shell there may be any
        command = (*self.command(), "--", self.address.host, remote)
        return run_client(command, device=self.name, timeout_s=timeout_s, stdin=stdin, stdout=stdout)

    def _checked(self, done: Completed) -> Completed:
        if done.returncode == FAILED:
            refusal = refusal_from_ssh(done.stderr, device=self.name, login=self.by_hand)
            if refusal is not None:
                raise refusal
        return done


def refusal_from_ssh(said: str, *, device: str, login: str) -> DeviceError | None:
    """Return the error that ssh's last words amount to; none when they may be the command's own.

    Args:
        said: by ssh on standard error.
        device: how the user calls it.
        login: the command with which the user reaches it himself.
    """
    thing = f"device {device}"
    last = " ".join(said.split())[-400:]
    for pattern, found, fix in REFUSALS:
        if re.search(pattern, said):
            return DeviceError(thing, found=found.format(last=last), fix=fix.format(login=login))
    if re.search(LOST, said):
        return UnreachableError(thing, found=last, fix="check its power and network")
    return None


def control_folder() -> Path:
    """Return where the sockets of shared connections are: short, because a socket's path has at most 104 bytes.

    Raises:
        DependencyError: the folder is another user's.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"edgedistill-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if folder.is_symlink() or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise DependencyError(f"folder '{folder}'", found="it is not this user's alone", fix=f"rm -r '{folder}'")
    return folder
