"""A conversion on trial, before anything is trained: what coremltools refuses, and what could not be checked later."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.data.preprocessing import ArrayPreprocessing, TextPreprocessing
from edgedistill.errors import UnsupportedError
from edgedistill.targets.base import Issue, Package, Severity
from edgedistill.targets.phone_coreml.convert import EMBEDDING, model_from_program
from edgedistill.targets.phone_coreml.interpreter import Interpreter, Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.phone_coreml.saved import read_package

if TYPE_CHECKING:
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.targets.phone_coreml.deployment import Deployment


def refusal(program: QuantizedProgram, deployment: Deployment) -> Issue | None:
    """Return COREML008 where a program cannot be converted, or its package holds an operation without a rule.

    The program is converted without image input and labels, so that every operator of it is met.

    Args:
        program: that breaks no rule of `rules.py`.
        deployment: of the package.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edgedistill-") as folder:
            path = Path(folder) / "trial.mlpackage"
            model = model_from_program(program, deployment=deployment, package=_package(program))
            write_package(model, path, metadata={})
            Interpreter(read_package(path), Precision.FP32)
    except UnsupportedError as error:
        fix = error.fix or "replace the operator by others that Core ML has"
        return Issue("COREML008", "program", Severity.ERROR, f"{error.thing}: {error.found}", fix)
    return None


def _package(program: QuantizedProgram) -> Package:
    sample = next(node for node in program.graph.graph.nodes if node.op == "placeholder").meta["val"]
    shape = tuple(int(size) for size in sample.shape[1:])
    tokens = sample.dtype == torch.int32
    kind = TextPreprocessing(tokenizer="none", max_length=shape[0]) if tokens else ArrayPreprocessing(shape=shape)
    return Package("trial", (), kind, np.zeros((1, *shape), np.float32), task=EMBEDDING)
