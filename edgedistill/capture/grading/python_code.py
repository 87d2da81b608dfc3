"""Python graders: only when the user allows them, in a process that can do little."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgedistill.capture.grading import python_child
from edgedistill.capture.grading.outcome import Score
from edgedistill.capture.json_text import parsed_object, text_at, text_of

if TYPE_CHECKING:
    from edgedistill.capture.grading.definitions import PythonCode
    from edgedistill.capture.grading.samples import Sample
    from edgedistill.capture.json_text import Json

_CHILD: Final = str(Path(python_child.__file__).resolve())
_GRACE_S: Final = 5.0
_MAX_LINE: Final = 2**20


@dataclass(frozen=True)
class CodeLimits:
    """What a Python grader may use. Defaults are the published ones.

    Args:
        seconds: longest time for one sample, s, of the clock and of the processor.
        bytes_of_memory: largest address space.
        bytes_of_file: largest file.
    """

    seconds: int = 120
    bytes_of_memory: int = 2 * 2**30
    bytes_of_file: int = 2**30


class PythonProcess:
    """The process of one Python grader; started when the first sample comes, and again when it was lost.

    Args:
        grader: the definition.
        limits: what it may use.
    """

    def __init__(self, grader: PythonCode, limits: CodeLimits) -> None:
        self._grader = grader
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._broken = ""
        self._one_at_a_time = asyncio.Lock()
        self.isolation: Json = {}
        """What the kernel granted, by "network" and "files"; empty before the first sample."""

    async def score(self, sample: Sample) -> Score:
        """Return what `grade(sample, item)` returns; 0 and the reason where that is no finite number."""
        async with self._one_at_a_time:
            if self._process is None and not self._broken:
                self._broken = await self._start()
            if self._broken:
                return Score(0.0, invalid=self._broken)
            answer = await self._ask({"sample": sample.sample, "item": sample.item})
        value = answer.get("score")
        if isinstance(value, (int, float)):
            return Score(float(value))
        return Score(0.0, invalid=text_at(answer, "error") or "no answer")

    async def close(self) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def _start(self) -> str:
        """Start the process; return why it cannot grade, or nothing."""
        self._folder = tempfile.TemporaryDirectory(prefix="edgedistill-grader-")
        home = self._folder.name
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            _CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=home,
            # nothing of the user's environment: it holds keys
            env={"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            limit=_MAX_LINE,
        )
        limits = self._limits
        order: Json = {"source": self._grader.source, "seconds": limits.seconds}
        order |= {"bytes_of_memory": limits.bytes_of_memory, "bytes_of_file": limits.bytes_of_file}
        self.isolation = await self._ask(order)
        answer = await self._read() if "error" not in self.isolation else self.isolation
        if "ready" in answer:
            return ""
        await self.close()
        return text_at(answer, "error") or "the grader's process did not start"

    async def _ask(self, request: Json) -> Json:
        assert self._process is not None  # noqa: S101 - started above
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(ConnectionError):  # a process that is gone is seen below
            self._process.stdin.write(text_of(request).encode() + b"\n")
            await self._process.stdin.drain()
        return await self._read()

    async def _read(self) -> Json:
        assert self._process is not None  # noqa: S101 - started above
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), self._limits.seconds + _GRACE_S)
        except (TimeoutError, ValueError):
            await self.close()
            return {"error": f"the grader took longer than {self._limits.seconds} s"}
        if not line:
            await self.close()
            return {"error": "the grader's process ended"}
        return parsed_object(line) or {"error": "the grader's process wrote no answer"}
