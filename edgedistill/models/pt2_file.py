"""Reads a `.pt2` program of `torch.export.save`, and refuses the parts of the format that run code.

`torch.export.load` (torch 2.13) trusts its file: it unpickles subclassed tensors, script and opaque objects and, where
that fails safely, sample inputs; it evaluates the text of shape expressions; names go into generated Python; compiled
libraries are loaded. So the archive is read first, with the same reader, and everything in it has to be on a list of
what an ordinary program needs: raw tensors, ATen operators, plain names, arithmetic of symbols. This closes the doors
that are known. It is no proof: a `.pt2` from someone you do not trust is still best not opened.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from typing import TYPE_CHECKING

import torch
from torch.export.pt2_archive._package import PT2ArchiveReader, load_pt2

from edgedistill.errors import ModelError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch.export import ExportedProgram

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
ENTRY = re.compile(
    r"archive_format|archive_version|byteorder|\.data/\w+|extra/[\w./-]*|models/model\.json"
    r"|data/sample_inputs/model\.pt|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+)"
)
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_\w+|torch\._sym_sqrt"
)
PLAIN = re.compile(r"[\w.@:+-]*")
TOKEN = re.compile(r"\s+|[()+*/,=<>-]|\d+(\.\d+)?|'(?P<quoted>\w+)'|(?P<name>[A-Za-z_]\w*)")
SYMBOL = re.compile(r"_?[suz][uf]?\d+")
EXPRESSION_NAME = re.compile(
    r"Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|FloorDiv|CleanDiv|CeilDiv|PythonMod|ModularIndexing"
    r"|IntTrueDiv|FloatTrueDiv|FloatPow|PowByNatural|ToFloat|TruncTo(Int|Float)|(Ceil|Floor|Round)ToInt|Where"
    r"|Identity|[LR]Shift|Equality|Unequality|(Strict)?(Greater|Less)Than|Eq|Ne|Ge|Le|Gt|Lt|And|Or|Not"
    r"|[tT]rue|[fF]alse|precision|positive|integer|nonnegative|real"
)
FREE_TEXT = frozenset({"metadata", "guards_code", "as_string"})
"""Keys whose text is kept and printed, but never run: guards are not asked for, strings are quoted."""

SPECS = frozenset({"in_spec", "out_spec", "context"})
"""Keys whose text is JSON again."""


def program_from_pt2(path: Path) -> ExportedProgram:
    """Return the program in a `.pt2` file.

    Raises:
        ModelError: the file is no program of `torch.export.save`.
        UnsafeFileError: it has a part that could run code, or one that an ordinary program does not need.
    """
    thing = f"program '{path.name}'"
    try:
        with PT2ArchiveReader(str(path)) as archive:
            _check(archive, thing)
        # not torch.export.load: on some errors it goes on with an older format, which nobody checked
        return load_pt2(str(path)).exported_programs["model"]
    except UnsafeFileError:
        raise
    except Exception as error:  # the readers raise whatever a broken file makes them
        raise ModelError(
            thing, found=f"it cannot be read: {type(error).__name__}: {error}", fix="write it with torch.export.save"
        ) from error


def _check(archive: PT2ArchiveReader, thing: str) -> None:
    for entry in archive.get_file_names():
        if not ENTRY.fullmatch(entry):
            raise _unsafe(thing, f"a part '{entry}': compiled, pickled or of another format")
    for config in CONFIGS:
        for name, payload in json.loads(archive.read_bytes(config))["config"].items():
            if payload["use_pickle"] or not PAYLOAD.fullmatch(payload["path_name"]):
                raise _unsafe(thing, f"tensor '{name}' is pickled")
            _check_plain(name, thing)
    try:
        torch.load(io.BytesIO(archive.read_bytes(SAMPLE_INPUTS)), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(thing, "sample inputs that call functions of their own") from error
    for key, text in _texts("", json.loads(archive.read_bytes(MODEL))):
        _check_text(key, text, thing)


def _check_text(key: str, text: str, thing: str) -> None:
    if key in {"target", "as_operator"}:
        if not OPERATOR.fullmatch(text):
            raise _unsafe(thing, f"operator '{text}'")
    elif key == "expr_str":
        _check_expression(text, thing)
    else:
        _check_plain(text, thing)


def _check_plain(text: str, thing: str) -> None:
    if not PLAIN.fullmatch(text) or text == "__enum__":
        raise _unsafe(thing, f"a name '{text[:60]}'")


def _check_expression(text: str, thing: str) -> None:
    """Refuse an expression with anything but numbers, symbols, known functions and arithmetic."""
    place = 0
    while place < len(text):
        token = TOKEN.match(text, place)
        if not token or not _is_known(token["quoted"], token["name"]):
            raise _unsafe(thing, f"shape expression '{text[:60]}'")
        place = token.end()


def _is_known(quoted: str | None, name: str | None) -> bool:
    """Return whether a token is harmless: quoted text must be a symbol, a name a symbol or a function."""
    if quoted is not None:
        return bool(SYMBOL.fullmatch(quoted))
    return name is None or bool(SYMBOL.fullmatch(name) or EXPRESSION_NAME.fullmatch(name))


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Give every text in a JSON document with the key it stands under; keys themselves stand under none."""
    if key in FREE_TEXT:
        return
    if key in SPECS and isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(key, item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield "", name
            yield from _texts(name, item)


def _unsafe(thing: str, found: str) -> UnsafeFileError:
    return UnsafeFileError(
        thing,
        found=found,
        wanted="raw tensors, ATen operators and shapes alone",
        fix="where you trust its origin, use 'python:module:factory' with a function that loads it",
    )
