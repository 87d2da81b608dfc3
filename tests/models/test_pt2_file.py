"""Programs of torch.export: what is read, and which doors are closed."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from edgedistill.errors import ModelError, UnsafeFileError
from edgedistill.models.loading import check_outputs, load_model
from edgedistill.models.pt2_file import program_from_pt2
from edgedistill.models.residual import ResidualNet
from edgedistill.recipe import Model

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = "pt2_test_trace"


@pytest.fixture(scope="module")
def reference() -> ResidualNet:
    torch.manual_seed(0)
    return ResidualNet(classes=3, channels=1, width=4, blocks=(1, 1)).eval()


@pytest.fixture(scope="module")
def saved(reference: ResidualNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.zeros(2, 1, 12, 12),)
    program = torch.export.export(reference, example, dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("programs") / "net.pt2"
    torch.export.save(program, path)
    return path


def rewritten(source: Path, path: Path, change: Callable[[str, bytes], bytes], **added: bytes) -> Path:
    """Write the archive again with each entry's content changed, and some entries added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        root = old.namelist()[0].partition("/")[0]
        for entry in old.namelist():
            new.writestr(entry, change(entry.partition("/")[2], old.read(entry)))
        for name, content in added.items():
            new.writestr(f"{root}/{name}", content)
    return path


def with_document(source: Path, path: Path, entry: str, change: Callable[[dict[str, object]], None]) -> Path:
    """Write the archive again with one JSON document changed in place."""

    def edited(name: str, content: bytes) -> bytes:
        if name != entry:
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return rewritten(source, path, edited)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (TRACE,))


def hostile_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(((torch.zeros(2, 1, 12, 12), Hostile()), {}), buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch 2.13 copies its own deprecated tree specs
def test_a_program_gives_the_module_that_was_exported(reference: ResidualNet, saved: Path) -> None:
    module = load_model(Model(source="net.pt2"), classes=3, channels=1, recipe_folder=saved.parent)
    check_outputs(module, (1, 12, 12), 3)
    images = torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = reference(images)
        for changed in (module, module.train(), module.eval(), copy.deepcopy(module)):
            torch.testing.assert_close(changed(images), expected)
    assert not module.training
    with pytest.raises(ModelError, match="3 outputs, and the data have 4 classes"):
        check_outputs(module, (1, 12, 12), 4)
    with pytest.raises(ModelError, match="dynamic batch"):
        check_outputs(module, (3, 12, 12), 3)


def test_an_unchanged_copy_is_read(saved: Path, tmp_path: Path) -> None:
    copied = rewritten(saved, tmp_path / "copy.pt2", lambda _, content: content)
    assert len(program_from_pt2(copied).state_dict) == len(program_from_pt2(saved).state_dict)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Symbol('s", "__import__('os').system('s"),
        ("positive=True", "positive=open('x')"),
        ("integer=True)", "integer=True).__class__"),
        ("torch.ops.aten.relu.default", "torch.hub.load"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default"),
        ("torch.ops.aten.relu.default", "_operator.attrgetter"),
        ("torch.ops.aten.relu.default", "#extension:run"),
        ('"images"', '"images=open(0)"'),
        ('"stem.0"', '"stem\\"); open(0"'),
        ("builtins.tuple", "__enum__"),
    ],
)
def test_text_that_would_be_evaluated_is_refused(old: str, new: str, saved: Path, tmp_path: Path) -> None:
    def change(entry: str, content: bytes) -> bytes:
        if entry != "models/model.json":
            return content
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    with pytest.raises(UnsafeFileError):
        program_from_pt2(rewritten(saved, tmp_path / "changed.pt2", change))


def test_an_enumeration_in_a_tree_is_refused(saved: Path, tmp_path: Path) -> None:
    def change(document: dict[str, object]) -> None:
        signature = document["graph_module"]["module_call_graph"][0]["signature"]  # type: ignore[index]
        context = json.dumps({"__enum__": True, "fqn": "my_module:Class", "name": "A"})
        tree = [1, {"type": "builtins.dict", "context": context, "children_spec": []}]
        signature["in_spec"] = json.dumps(tree)

    with pytest.raises(UnsafeFileError, match="__enum__"):
        program_from_pt2(with_document(saved, tmp_path / "changed.pt2", "models/model.json", change))


def test_sample_inputs_that_run_code_are_refused_and_do_not_run(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = rewritten(
        saved,
        tmp_path / "changed.pt2",
        lambda entry, content: hostile_bytes() if entry == "data/sample_inputs/model.pt" else content,
    )
    with pytest.raises(UnsafeFileError, match="sample inputs"):
        program_from_pt2(changed)
    assert not Path(TRACE).exists()
    # torch's own loader unpickles it (and formats its warning about that wrongly)
    monkeypatch.setattr(logging.getLogger("torch._export.serde.serialize"), "disabled", True)
    torch.export.load(changed)
    assert Path(TRACE).exists()


def test_pickled_weights_are_refused_and_not_read(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def change(document: dict[str, object]) -> None:
        document["config"]["stem.0.weight"]["use_pickle"] = True  # type: ignore[index]

    changed = with_document(saved, tmp_path / "changed.pt2", "data/weights/model_weights_config.json", change)
    with pytest.raises(UnsafeFileError, match=r"'stem\.0\.weight' is pickled"):
        program_from_pt2(changed)


@pytest.mark.parametrize(
    "entry",
    [
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/aotinductor/model/a.so",
        "data/weights/model.pt",
        "data/constants/model.pt",
        "models/other.json",
        "serialized_state_dict.pt",
    ],
)
def test_parts_that_hold_code_are_refused(entry: str, saved: Path, tmp_path: Path) -> None:
    added = {entry: pickle.dumps(Hostile())}
    with pytest.raises(UnsafeFileError, match=entry):
        program_from_pt2(rewritten(saved, tmp_path / "changed.pt2", lambda _, content: content, **added))


def test_an_opaque_object_that_replaces_a_constant_is_refused(saved: Path, tmp_path: Path) -> None:
    def change(document: dict[str, object]) -> None:
        document["config"]["c"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False}  # type: ignore[index]

    changed = with_document(saved, tmp_path / "changed.pt2", "data/constants/model_constants_config.json", change)
    with pytest.raises(UnsafeFileError, match="tensor 'c' is pickled"):
        program_from_pt2(changed)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(content)
    with pytest.raises(ModelError, match=r"torch\.export\.save"):
        program_from_pt2(tmp_path / "net.pt2")


def test_the_older_format_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("version", "8.1")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", hostile_bytes())
    with pytest.raises((ModelError, UnsafeFileError)):
        program_from_pt2(tmp_path / "net.pt2")
