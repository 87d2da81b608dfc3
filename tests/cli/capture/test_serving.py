"""The server as a user starts it, and what prunes its store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI
from stub_teacher import KEY, StubTeacher, running

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.store import Entry, Store
from edgedistill.cli.capture.options import pairs_of, redaction_from, retention_from
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]


def started(upstream: str, folder: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgedistill", "capture", "serve", upstream, "--port", "0", "--store", str(folder)]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        cwd=folder.parent,
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_it_is_interrupted(tmp_path: Path, ending: signal.Signals) -> None:
    (tmp_path / "mine.py").write_text("def shorter(text):\n    return text.replace('Rumpel', '***')\n", "utf-8")
    options = ("--redact", "email", "--redact-with", "python:mine:shorter", "-m", "site=a", "--max-age-days", "30")
    with running(StubTeacher()) as upstream:
        process = started(upstream, tmp_path / "captured", *options)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[0]
            assert "some providers' terms" in process.stdout.readline()
            with OpenAI(base_url=address, api_key=KEY, timeout=20, max_retries=0) as client:
                said = [{"role": "user", "content": "Rumpel is a@b.de"}]
                client.chat.completions.create(model="leaky", messages=said, store=True)
                client.chat.completions.create(model="echo", messages=said)
        finally:
            process.send_signal(ending)
            stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout == "stored 1 answers\n"
    assert KEY not in stdout + stderr
    assert "Traceback" not in stderr
    with Store(tmp_path / "captured") as store:
        (stored,) = store.iterate()
    assert stored.prompt == "*** is [redacted:email]"
    assert stored.metadata == {"site": "a"}


def test_serve_prints_json(tmp_path: Path) -> None:
    process = started(
        "http://127.0.0.1:9/v1", tmp_path / "captured", "--json", "--access-key-env", "MINE", MINE="canary1"
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
    finally:
        process.terminate()
        rest, stderr = process.communicate(timeout=60)
    document = json.loads("".join(lines) + rest)
    assert document["upstream"] == "http://127.0.0.1:9/v1"
    assert document["address"].startswith("http://127.0.0.1:")
    assert "canary1" not in "".join(lines) + rest + stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("localhost:8000",), "wanted as in https://api.openai.com/v1"),
        (("http://a/v1", "--host", "0.0.0.0"), "other machines can reach it"),  # noqa: S104 - refused
        (("http://a/v1", "--host", "example.org"), "other machines can reach it"),
        (("http://a/v1", "--store-when", "often"), "requested, always, never"),
        (("http://a/v1", "--sample", "0"), "sampling rate"),
        (("http://a/v1", "--redact", "mail"), "did you mean 'email'?"),
        (("http://a/v1", "--redact-with", "mine.py"), "python:module:function"),
        (("http://a/v1", "--max-size", "big"), "500MB or 2GB"),
        (("http://a/v1", "--upstream-key-env", "NOT_SET_ANYWHERE"), "not set, or no key in it"),
        (("http://a/v1", "-m", "a"), "KEY=VALUE"),
    ],
)
def test_what_serve_refuses(edgedistill: Call, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    ended = edgedistill("capture", "serve", *arguments, "--store", tmp_path / "captured")
    assert ended.exit_code == 2, ended.stderr
    assert words in " ".join(ended.stderr.split())
    assert not (tmp_path / "captured").exists()


def test_a_port_that_is_taken(edgedistill: Call, tmp_path: Path) -> None:
    with running(StubTeacher()) as upstream:
        port = upstream.removesuffix("/v1").rpartition(":")[2]
        ended = edgedistill("capture", "serve", upstream, "--port", port, "--store", tmp_path / "captured")
    assert ended.exit_code == 2
    assert "choose another with --port" in ended.stderr


def test_without_the_server_s_packages(edgedistill: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("edgedistill.capture.server"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    ended = edgedistill("capture", "serve", "http://a/v1", "--store", tmp_path / "captured")
    assert ended.exit_code == 2
    assert "pip install 'edgedistill[capture]'" in ended.stderr


# --- options


def test_what_is_redacted() -> None:
    assert list(redaction_from(None, None).patterns) == ["keys"]
    assert list(redaction_from(["email", "x=y"], None).patterns) == ["keys", "email", "x"]
    assert list(redaction_from(["none"], None).patterns) == []
    assert list(redaction_from(["none", "ip"], None).patterns) == ["ip"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500", 500), ("5kB", 5000), ("1.5 MB", 1_500_000), ("2G", 2_000_000_000), ("1TB", 10**12)],
)
def test_sizes(text: str, expected: int) -> None:
    assert retention_from(None, text).max_bytes == expected


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e3", "5 mb", "1.5.5GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="no size"):
        retention_from(None, text)


def test_pairs() -> None:
    assert pairs_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for wrong in ("a", "=b"):
        with pytest.raises(InputError, match="KEY=VALUE"):
            pairs_of([wrong])


# --- prune


def test_prune(edgedistill: Call, tmp_path: Path) -> None:
    folder = tmp_path / "captured"
    with Store(folder) as store:
        message = {"role": "assistant", "content": "x" * 20_000}
        store.add_many([Entry(chat_completion({}, {"choices": [{"message": message}]})) for _ in range(20)])
    assert edgedistill("capture", "prune", "--store", folder, "--max-age-days", "1").stdout.startswith("deleted 0")
    document = edgedistill("capture", "prune", "--store", folder, "--max-size", "200kB", "--json").document()
    assert document["size_bytes"] <= 200_000
    assert 0 < document["deleted"] < 20
    assert edgedistill("capture", "prune", "--store", folder).exit_code == 2
