"""How the runner ends: one JSON document, and an exit code that says who has to act."""

from __future__ import annotations

from typing import Any, Dict

Document = Dict[str, Any]
SCHEMA = "edgedistill.runner/1"


class RunnerError(Exception):
    """A bug of ours, unless a subclass says otherwise."""

    exit_code = 1


class InputError(RunnerError):
    """Something the user gave, or something that is missing on this module."""

    exit_code = 2


class GateError(RunnerError):
    """The artifact is not what was built, does not run in INT8, or a result would be worthless."""

    exit_code = 3


class TensorRtError(RunnerError):
    """TensorRT on this module did not do what it was asked: no engine, no answer, an answer cut short."""

    exit_code = 4
