from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from edgedistill.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    exit_code: int
    stdout: str
    stderr: str
    exception: BaseException | None

    def document(self) -> Any:  # noqa: ANN401 - JSON
        """Return the one JSON document on standard output; fail if there is anything else."""
        return json.loads(self.stdout)


@pytest.fixture
def edgedistill() -> Callable[..., Ended]:
    """Call the command line in this process."""

    def call(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return Ended(result.exit_code, result.stdout, result.stderr, result.exception)

    return call
