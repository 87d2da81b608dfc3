"""Opens ONNX files that come from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from edgedistill.errors import InputError, UnsafeFileError, nearest
from edgedistill.targets.jetson_tensorrt.finding import Setting
from edgedistill.targets.jetson_tensorrt.target import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from onnx import ModelProto

    from edgedistill.targets.base import DeviceProfile
    from edgedistill.targets.jetson_tensorrt.finding import Version

LARGEST_BYTES = 2**31 - 1  # of a protobuf message
OPTIONS = {"tensorrt": "a version such as 10.3", "dla": "true or false"}
OLDEST: Version = (8, 5)
SHOWN_PARTS = 2


def model_from_file(path: Path) -> ModelProto:
    """Return the model in a file; tensors in other files stay there.

    Raises:
        UnsafeFileError: the file is missing, too large, or no ONNX model, or refers to files out of its folder.
    """
    thing = f"model '{path}'"
    if not path.is_file():
        raise UnsafeFileError(thing, found="the file does not exist")
    if path.stat().st_size > LARGEST_BYTES:
        raise UnsafeFileError(thing, found=f"{path.stat().st_size:,} bytes", wanted=f"at most {LARGEST_BYTES:,}")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise UnsafeFileError(thing, found="it cannot be read as ONNX", wanted="an .onnx file") from error
    if not model.graph.node:
        raise UnsafeFileError(thing, found="no operator in it", wanted="an ONNX model with a graph")
    _check_locations(model, thing)
    return model


def setting_from(profile: DeviceProfile | None, options: Mapping[str, str]) -> Setting:
    """Return what a file is judged for: the profile's newest TensorRT, or the usual one, or what an option names.

    Raises:
        InputError: an option that does not exist, or a value that cannot be read.
    """
    setting = settings_of(profile)[-1] if profile is not None else Setting()
    for name, text in options.items():
        if name == "tensorrt":
            setting = replace(setting, tensorrt=_version(text))
        elif name == "dla":
            setting = replace(setting, dla=_truth(text))
        else:
            raise InputError(f"option '{name}'", found="not known", fix=nearest(name, OPTIONS))
    return setting


def _version(text: str) -> Version:
    parts = text.split(".")
    if len(parts) < SHOWN_PARTS or not all(part.isdigit() for part in parts):
        raise InputError("option tensorrt", found=repr(text), wanted=OPTIONS["tensorrt"])
    version = (int(parts[0]), int(parts[1]))
    if version < OLDEST:
        raise InputError("option tensorrt", found=text, wanted=f"{OLDEST[0]}.{OLDEST[1]} or newer")
    return version


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError("option dla", found=repr(text), wanted=OPTIONS["dla"])
    return text == "true"


def _check_locations(model: ModelProto, thing: str) -> None:
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            pure = PurePosixPath(entry.value)
            if entry.key == "location" and (pure.is_absolute() or ".." in pure.parts):
                raise UnsafeFileError(thing, found=f"tensor '{tensor.name}' in {entry.value!r}, out of its folder")
