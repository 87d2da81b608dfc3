"""What a model depends on, without loading it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgedistill.errors import ModelError
from edgedistill.models.fingerprints import fingerprint
from edgedistill.recipe import Model

if TYPE_CHECKING:
    from pathlib import Path


def test_source_options_and_weights_are_covered(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt", "same_as_a.pt"):
        (tmp_path / name).write_bytes(b"a" if "a" in name else b"b")
    (tmp_path / "net.pt2").write_bytes(b"program")
    (tmp_path / "nets.py").write_text("def one(): ...", "utf-8")
    models = [
        Model(source="residual"),
        Model(source="separable"),
        Model(source="residual", options={"width": 8}),
        Model(source="residual", options={"width": 9}),
        Model(source="residual", options={"blocks": (1, 2)}),
        Model(source="residual", weights="a.pt"),
        Model(source="residual", weights="b.pt"),
        Model(source="net.pt2"),
        Model(source="python:nets:one"),
        Model(source="python:nets:two"),
    ]
    found = [fingerprint(model, tmp_path) for model in models]
    assert len(set(found)) == len(models)
    assert fingerprint(Model(source="residual", weights="same_as_a.pt"), tmp_path) == found[5]
    options = {"width": 8, "stem_stride": 2}
    turned = dict(reversed(options.items()))
    assert fingerprint(Model(source="residual", options=options), tmp_path) == fingerprint(
        Model(source="residual", options=turned), tmp_path
    )


def test_a_change_of_the_files_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "nets.py"
    path.write_text("def one(): ...", "utf-8")
    before = fingerprint(Model(source="python:nets:one"), tmp_path)
    path.write_text("def one(): return 1", "utf-8")
    assert fingerprint(Model(source="python:nets:one"), tmp_path) != before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.pt"):
        fingerprint(Model(source="residual", weights="gone.pt"), tmp_path)


def test_it_runs_no_code_and_loads_no_torch(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("raise RuntimeError('this was run')", "utf-8")
    program = (
        "import sys; from pathlib import Path; from edgedistill.models.fingerprints import fingerprint;"
        "from edgedistill.recipe import Model; fingerprint(Model(source='python:nets:one'), Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules and 'nets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
