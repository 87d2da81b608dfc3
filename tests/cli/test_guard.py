"""Exit codes and messages: what a user sees when something is wrong."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest
import typer

from edgedistill import errors
from edgedistill.cli.guard import guarded


def raised_by(error: BaseException, *, as_json: bool = False) -> typer.Exit:
    def verb(*, as_json: bool) -> None:  # noqa: ARG001 - the guard looks at it
        raise error

    with pytest.raises(typer.Exit) as caught:
        guarded(verb)(as_json=as_json)
    return caught.value


EXPECTED = [
    (errors.EdgeDistillError, 1),
    (errors.RecipeError, 2),
    (errors.DataError, 2),
    (errors.ModelError, 2),
    (errors.ShapeError, 2),
    (errors.UnsafeFileError, 2),
    (errors.UnsupportedError, 2),
    (errors.DependencyError, 2),
    (errors.ResourceError, 2),
    (errors.GateError, 3),
    (errors.DeviceError, 4),
]


@pytest.mark.parametrize(("kind", "exit_code"), EXPECTED)
def test_each_error_has_its_exit_code_and_one_message(
    kind: type[errors.EdgeDistillError], exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("the thing", found="what was found", wanted="what is wanted", fix="the fix")
    assert raised_by(error).exit_code == exit_code
    printed = capsys.readouterr()
    assert printed.err == "error: the thing: what was found; wanted what is wanted. the fix.\n"
    assert printed.out == ""


def test_with_json_the_document_says_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    raised_by(errors.DataError("the thing", found="nothing"), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "error": "DataError",
        "message": "the thing: nothing.",
        "exit_code": 2,
    }


def test_a_failed_gate_adds_no_second_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised_by(errors.GateError("the thing", found="worse"), as_json=True).exit_code == 3
    assert capsys.readouterr().out == ""


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised_by(KeyboardInterrupt()).exit_code == 130
    assert capsys.readouterr().err == "error: interrupted; run the same command again to go on\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_machine_lacks_is_no_bug_of_ours(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert raised_by(OSError(number, "no room", "some/file")).exit_code == 2
    assert capsys.readouterr().err == "error: file 'some/file': no room.\n"


@pytest.mark.parametrize("error", [ValueError("x"), BrokenPipeError(), FileNotFoundError(2, "x", "y")])
def test_what_is_not_expected_passes(error: Exception) -> None:
    def verb() -> None:
        raise error

    with pytest.raises(type(error)):
        guarded(verb)()


SLEEPING = """
import sys, time
import edgedistill.cli.app as program
from edgedistill.cli.guard import guarded

def sleep() -> None:
    print("asleep", flush=True)
    time.sleep(60)

def break_down() -> None:
    raise RuntimeError("a bug")

program.app.command("sleep")(guarded(sleep))
program.app.command("break")(guarded(break_down))
sys.argv = ["edgedistill", sys.argv[1]]
program.main()
"""


def test_a_termination_is_an_interruption() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SLEEPING, "sleep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asleep\n"
        child.terminate()
        _, stderr = child.communicate()
    assert child.returncode == 130
    assert stderr == "error: interrupted; run the same command again to go on\n"


def test_a_bug_of_ours_shows_where_it_is_and_asks_for_a_report() -> None:
    completed = subprocess.run([sys.executable, "-c", SLEEPING, "break"], check=False, capture_output=True, text=True)
    assert completed.returncode == 1
    assert "RuntimeError: a bug" in completed.stderr
    assert completed.stderr.splitlines()[-1].startswith("error: this is a bug in edgedistill; please report it")
    assert completed.stdout == ""
