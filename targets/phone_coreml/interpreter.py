"""Computes a saved package operation by operation: our reading of the file, not Core ML."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgedistill.errors import ModelError, UnsupportedError
from edgedistill.targets.phone_coreml.operations import OPERATIONS, Arguments
from edgedistill.targets.phone_coreml.saved import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedistill.targets.phone_coreml.saved import Declared, Operation, SavedModel

INTEGERS = {"INT8": torch.int8, "UINT8": torch.uint8, "INT16": torch.int16, "UINT16": torch.int32, "INT32": torch.int32}


class Precision(StrEnum):
    """How values between operations are held."""

    FP32 = "fp32"  # every operation in float32: what the package says, without the rounding of its type
    FP16 = "fp16"  # rounded to fp16 where the package declares it; sums are accumulated in float32


class Interpreter:
    """Computes a model.

    Args:
        model: from `saved.read_package`.
        precision: how values are held.

    Raises:
        UnsupportedError: an operation has no rule here; every one of them is named.
    """

    def __init__(self, model: SavedModel, precision: Precision) -> None:
        self.model, self.precision = model, precision
        unknown = sorted({item.kind for item in model.operations if item.kind not in OPERATIONS})
        if unknown:
            raise UnsupportedError(
                "interpreter of Core ML packages",
                found=f"no rule for {', '.join(unknown)}",
                fix="add one to targets/phone_coreml/operations.py",
            )

    def run(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, those of a classifier as (class numbers, probabilities).

        Args:
            given: values by name, (n, ...), n at least 1: the model's inputs, or any values after them, whose
                operations are then left out.

        Raises:
            ModelError: n is more than 1, and the model mixes the axis of samples with others.
        """
        count = len(next(iter(given.values())))
        if count > 1 and self._mixed is not None:
            raise ModelError(
                "interpreter of Core ML packages",
                found=f"'{self._mixed}' moves the axis of samples",
                fix="run one by one",
            )
        values: dict[str, Any] = {**self._constants, **given}
        for operation in self._needed(frozenset(given)):
            results = self._computed(operation, values, count)
            values.update({out.name: value for out, value in zip(operation.outputs, results, strict=True)})
        return {name: values[name] for name in self.model.outputs}

    @property
    def batches(self) -> bool:
        """Whether several samples can be computed at once."""
        return self._mixed is None

    def _computed(self, operation: Operation, values: Mapping[str, Any], count: int) -> list[Any]:
        arguments = {name: _resolved(argument, values) for name, argument in operation.arguments.items()}
        if count > 1:
            arguments = _for_many(operation, arguments, count)
        result = OPERATIONS[operation.kind](Arguments(arguments))
        results = list(result) if isinstance(result, list | tuple) else [result]
        return [self._rounded(value, declared) for value, declared in zip(results, operation.outputs, strict=True)]

    def _rounded(self, value: Any, declared: Declared) -> Any:  # noqa: ANN401 - tensors, and a classifier's outputs
        if not isinstance(value, Tensor) or declared.dtype in ("STRING", "DICTIONARY"):
            return value
        if declared.dtype in INTEGERS:
            return value.to(INTEGERS[declared.dtype])
        if declared.dtype == "BOOL":
            return value.to(torch.bool)
        if declared.dtype == "FLOAT16" and self.precision is Precision.FP16:
            return value.to(torch.float16).to(torch.float32)
        return value.to(torch.float32)

    @cached_property
    def _constants(self) -> dict[str, Any]:
        constants = {name: _tensor(value) for name, value in self.model.constants.items()}
        for operation in self.model.operations:  # weights are computed once
            if operation.kind.startswith("constexpr_"):
                constants[operation.name] = self._computed(operation, constants, 1)[0]
        return constants

    def _needed(self, given: frozenset[str]) -> list[Operation]:
        """Return the operations that the outputs need, in order."""
        wanted, needed = set(self.model.outputs), []
        for operation in reversed(self.model.operations):
            names = {output.name for output in operation.outputs}
            if names & wanted and not names <= given | self._constants.keys():
                needed.append(operation)
                wanted |= set(_names(operation)) - given
        return needed[::-1]

    @cached_property
    def _mixed(self) -> str | None:
        """Name of the first operation after which the first axis is no longer that of the samples."""
        samples = {declared.name for declared in self.model.inputs}
        for operation in self.model.operations:
            if not samples & set(_names(operation)):
                continue
            for output in operation.outputs:
                if output.dtype in ("STRING", "DICTIONARY"):
                    continue
                if not output.shape or output.shape[0] != 1 or self._moves_first_axis(operation):
                    return operation.name
                samples.add(output.name)
        return None

    def _moves_first_axis(self, operation: Operation) -> bool:
        name = {"transpose": "perm", "squeeze": "axes", "expand_dims": "axes"}.get(operation.kind)
        if name is None or name not in operation.arguments:
            return False
        numbers = [int(number) for number in np.ravel(self.model.constant(operation.arguments[name]))]
        return numbers[0] != 0 if operation.kind == "transpose" else 0 in numbers


def _resolved(argument: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - tensors, texts, lists
    if isinstance(argument, Reference):
        return values[argument.name]
    if isinstance(argument, list):
        return [_resolved(item, values) for item in argument]
    return _tensor(argument)


def _tensor(value: Any) -> Any:  # noqa: ANN401 - as above
    if not isinstance(value, np.ndarray):
        return value
    array = value.astype(np.float32) if value.dtype.kind == "f" else value
    return torch.from_numpy(np.array(array))


def _names(operation: Operation) -> Iterator[str]:
    for argument in operation.arguments.values():
        for item in argument if isinstance(argument, list) else [argument]:
            if isinstance(item, Reference):
                yield item.name


def _for_many(operation: Operation, arguments: dict[str, Any], count: int) -> dict[str, Any]:
    """Give room for several samples where the package says 1: the shape of a reshape, a constant that is joined."""
    if operation.kind == "reshape" and int(arguments["shape"][0]) == 1:
        shape = arguments["shape"].clone()
        shape[0] = count
        return {**arguments, "shape": shape}
    if operation.kind in ("concat", "stack"):
        given = arguments["values"]
        parts = list(given) if isinstance(given, list | tuple) else [given]
        values = [value.expand(count, *value.shape[1:]) if len(value) == 1 else value for value in parts]
        return {**arguments, "values": values}
    return arguments
