"""Code of a definition grades in a process that can do little, and cannot take the run with it."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedistill.capture.grading.definitions import PythonCode
from edgedistill.capture.grading.python_code import CodeLimits, PythonProcess
from edgedistill.capture.grading.samples import Sample

if TYPE_CHECKING:
    from edgedistill.capture.grading.outcome import Score
    from edgedistill.capture.json_text import Json

QUICK = CodeLimits(seconds=2, bytes_of_memory=512 * 2**20, bytes_of_file=2**20)


def grade(source: str, *samples: Json, limits: CodeLimits = QUICK) -> tuple[list[Score], Json]:
    async def run() -> tuple[list[Score], Json]:
        process = PythonProcess(PythonCode(type="python", source=source), limits)
        try:
            given = [Sample(str(number), {"n": number}, sample) for number, sample in enumerate(samples or ({},))]
            return [await process.score(sample) for sample in given], process.isolation
        finally:
            await process.close()

    return asyncio.run(run())


def body(*lines: str) -> str:
    return "\n    ".join(("def grade(sample, item):", *lines))


def test_a_grade_of_each_sample() -> None:
    scores, _ = grade(
        body("return len(sample['output_text']) + item['n']"), {"output_text": "abc"}, {"output_text": "é"}
    )
    assert [score.value for score in scores] == [3.0, 2.0]


def test_the_guides_example_with_an_installed_package() -> None:
    source = "from rapidfuzz import fuzz, utils\n\n" + body(
        "return fuzz.WRatio(sample['output_text'], 'fuzzy wuzzy had no hair', processor=utils.default_process) / 100"
    )
    (score,), _ = grade(source, {"output_text": "fuzzy wuzzy was a bear"})
    assert score.value == pytest.approx(0.7555555555, abs=1e-9)


def test_numbers_of_numpy_are_numbers() -> None:
    (score,), _ = grade("import numpy\n" + body("return numpy.float32(0.5)"))
    assert score.value == 0.5


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (body("return 1 / 0"), "ZeroDivisionError"),
        (body("return None"), "None, which is no number"),
        (body("return 'high'"), "'high', which is no number"),
        (body("return True"), "True, which is no number"),
        (body("return float('nan')"), "nan"),
        (body("return 10.0 ** 400"), "OverflowError"),
        (body("raise SystemExit(0)"), "SystemExit"),
        (body("import os", "os._exit(0)"), "ended by exit"),
        (body("import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)"), "SIGSEGV"),
        (body("return sample['absent']"), "KeyError"),
        ("def grade(sample):\n    return 1", "TypeError"),
        ("x = 1", "no function 'grade'"),
        ("grade = 1", "no function 'grade'"),
        ("raise ValueError('at the top')", "at the top"),
        ("import sys\nsys.exit()", "SystemExit"),
        (body("x = bytearray(10**10)", "return 1"), "MemoryError"),
        (body("open('big', 'wb').write(bytes(2**21))", "return 1"), "OSError|SIGXFSZ"),
        (body("while True: pass"), "longer than 2 s|SIGXCPU"),
        (body("import time", "time.sleep(60)"), "longer than 2 s"),
    ],
)
def test_what_goes_wrong_is_0_and_says_why(source: str, reason: str) -> None:
    (score,), _ = grade(source)
    assert score.value == 0.0
    assert any(part in score.invalid for part in reason.split("|")), score.invalid


def test_a_sample_that_breaks_its_process_leaves_the_next_one_alone() -> None:
    source = body("if sample['bad']:", "    import os", "    os._exit(1)", "return 1")
    scores, _ = grade(source, {"bad": True}, {"bad": False})
    assert [score.value for score in scores] == [0.0, 1.0]


def test_no_sample_sees_what_another_left_behind() -> None:
    source = "seen = []\n" + body("seen.append(1)", "return len(seen)")
    scores, _ = grade(source, {}, {}, {})
    assert [score.value for score in scores] == [1.0, 1.0, 1.0]


def test_print_does_not_disturb_the_answers() -> None:
    source = "import sys\nprint('{\"score\": 9}')\n" + body("print('{\"score\": 9}')", "sys.stdout.flush()", "return 1")
    (score,), _ = grade(source)
    assert score.value == 1.0


def test_no_key_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    (score,), _ = grade(
        body("import os", "return sum('KEY' in name or 'sk-1' in os.environ[name] for name in os.environ)")
    )
    assert (score.value, score.invalid) == (0.0, "")


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = body("import socket", f"socket.create_connection(('127.0.0.1', {port}), 1)", "return 1")
        (score,), isolation = grade(source)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # a connection that was made would wait in the backlog
            server.accept()
    assert score.value == 0.0
    assert isolation["network"] in ("cut off", "refused in Python only")


def test_a_namespace_stands_behind_pythons_own_refusal() -> None:
    # past the audit hook, through libc: only the kernel can refuse
    source = body(
        "import ctypes",
        "libc = ctypes.CDLL(None, use_errno=True)",
        "s = libc.socket(2, 1, 0)",
        "a = bytes([2, 0, 0, 80, 127, 0, 0, 1]) + bytes(8)",
        "libc.connect(s, a, 16)",
        "return ctypes.get_errno()",
    )
    (score,), isolation = grade(source)
    if isolation["network"] != "cut off":
        pytest.skip("the kernel refuses unprivileged network namespaces")
    assert score.value == 101.0  # ENETUNREACH: not even its own loopback is up


def test_files_outside_of_its_folder_stay_as_they_are(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept", "utf-8")
    source = body(
        "open('own', 'w').write('x')",
        "try:",
        f"    open({str(precious)!r}, 'w').write('gone')",
        "except PermissionError:",
        "    return 1",
        "return 0",
    )
    (score,), isolation = grade(source)
    if isolation["files"] == "as the user's":
        pytest.skip("the kernel has no Landlock")
    assert score.value == 1.0
    assert precious.read_text("utf-8") == "kept"


def test_nothing_is_left_running_or_lying_about() -> None:
    async def run() -> tuple[int, str]:
        process = PythonProcess(PythonCode(type="python", source=body("import os", "return os.getppid()")), QUICK)
        parent = int((await process.score(Sample("a", {}, {}))).value)
        folder = process._folder
        assert folder is not None
        await process.close()
        return parent, folder.name

    parent, folder = asyncio.run(run())
    with pytest.raises(ProcessLookupError):
        os.kill(parent, 0)
    assert not Path(folder).exists()
