"""OpenSSH's client as it is called, and what its words mean. A stand-in answers; the real one is in emulation/."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from edgedistill.devices.openssh import OpenSsh, SshAddress, control_folder, refusal_from_ssh
from edgedistill.errors import DependencyError, DeviceError, UnreachableError

# as OpenSSH 9.2 writes them
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key for kitchen has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = (
    "No ED25519 host key is known for kitchen and you have requested strict checking.\nHost key verification failed.\n"
)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (CHANGED, DeviceError, "its host key is not the one in known_hosts, so nothing was sent"),
        (UNKNOWN, DeviceError, r"not in known_hosts. log in once with `ssh pi@kitchen`"),
        ("pi@kitchen: Permission denied (publickey).\n", DeviceError, "refuses our key.*ssh-copy-id"),
        ("ssh: Could not resolve hostname kitchen: Name or service not known\n", DeviceError, "check the name"),
        ("/x: line 1: Bad configuration option: foo\n", DeviceError, "mend the SSH configuration"),
        ("ssh: connect to host kitchen port 22: Connection refused\n", UnreachableError, "power and network"),
        ("ssh: connect to host kitchen port 22: No route to host\n", UnreachableError, "No route"),
        ("ssh: connect to host kitchen port 22: Connection timed out\n", UnreachableError, "timed out"),
        ("client_loop: send disconnect: Broken pipe\n", UnreachableError, "Broken pipe"),
        ("Timeout, server kitchen not responding.\n", UnreachableError, "not responding"),
        ("kex_exchange_identification: read: Connection reset by peer\n", UnreachableError, "reset"),
        ("mux_client_request_session: session request failed: Session open refused by peer\n", UnreachableError, "mux"),
    ],
)
def test_what_ssh_says_becomes_an_error(said: str, kind: type[DeviceError], words: str) -> None:
    error = refusal_from_ssh(said, device="kitchen", login="ssh pi@kitchen")
    assert type(error) is kind
    with pytest.raises(DeviceError, match=words):
        raise error


def test_a_command_s_own_255_is_none() -> None:
    assert refusal_from_ssh("the program's own words\n", device="kitchen", login="") is None


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an `ssh` first on PATH that keeps its arguments and runs the command here."""
    place = tmp_path / "bin" / "ssh"
    place.parent.mkdir()
    place.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$@" > {tmp_path}/arguments\nfor last; do :; done\neval "$last"\n')
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "arguments"


def test_the_client_is_strict_silent_and_shared(ssh: Path) -> None:
    transport = OpenSsh(SshAddress("kitchen", "pi", 2222))
    assert transport.shell("printf hello", timeout_s=10).stdout == "hello"
    arguments = ssh.read_text().splitlines()
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ControlMaster=auto"):
        assert option in arguments
    assert arguments[arguments.index("-p") + 1] == "2222"
    assert arguments[arguments.index("--") + 1] == "kitchen"  # so that no host becomes an option
    assert "-F" not in arguments  # the user's own configuration


def test_files_go_and_come_through_the_same_connection(ssh: Path, tmp_path: Path) -> None:
    transport = OpenSsh(SshAddress("kitchen"))
    (tmp_path / "a").write_bytes(bytes(range(256)))
    assert transport.send(tmp_path / "a", PurePosixPath(tmp_path / "b c"), timeout_s=10).returncode == 0
    assert transport.fetch(PurePosixPath(tmp_path / "b c"), tmp_path / "d", timeout_s=10).returncode == 0
    assert (tmp_path / "d").read_bytes() == bytes(range(256))
    assert ssh.exists()


def test_files_are_kept_in_the_home_there(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    assert str(OpenSsh(SshAddress("kitchen")).home()) == "/home/pi/.edgedistill"
    chosen = OpenSsh(SshAddress("kitchen"), folder=PurePosixPath("/data/x"))
    assert str(chosen.home()) == "/data/x"
    monkeypatch.setenv("HOME", "")
    with pytest.raises(DeviceError, match="no home folder"):
        OpenSsh(SshAddress("kitchen")).home()
    assert ssh.exists()


def test_a_client_that_does_not_answer_is_unreachable(ssh: Path) -> None:
    with pytest.raises(UnreachableError, match=r"no answer within 0\.5 s"):
        OpenSsh(SshAddress("kitchen")).shell("sleep 30", timeout_s=0.5)
    assert ssh.exists()


def test_the_folder_of_shared_connections_is_this_user_s_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = control_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(DependencyError, match="not this user's alone"):
        control_folder()
