"""Features: outputs of named layers, and their shapes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.data.text_views import TokenizedTexts
from edgedistill.distill.cache_files import OutputShapes
from edgedistill.distill.layer_paths import INPUT
from edgedistill.distill.modes import evaluating
from edgedistill.errors import ModelError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch.utils.hooks import RemovableHandle

    from edgedistill.data.transfer_set import TransferSet

NO_LAYERS = "it only answers and has no layers: learn from its soft targets alone, without 'distill.hints'"


def layer_named(model: nn.Module, path: str, *, role: str) -> nn.Module:
    """Return the layer at a dotted path: `layer_named(student, "stages.1", role="student")`.

    Raises:
        ModelError: there is no such layer; lists what the model has where the path goes astray.
    """
    layer, reached = model, ""
    for part in path.split("."):
        children = {f"{reached}{name}": child for name, child in layer.named_children()}
        if f"{reached}{part}" not in children:
            raise ModelError(
                f"layer '{path}'",
                found=f"not in the {role}",
                fix=nearest(f"{reached}{part}", children) if children or reached else NO_LAYERS,
            )
        layer, reached = children[f"{reached}{part}"], f"{reached}{part}."
    return layer


class Taps:
    """Features of the last forward pass, by layer path."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._features: dict[str, Tensor] = {}

    def record(self, path: str, output: object) -> None:
        """Keep a layer's output: a tensor, or the first of a tuple, as attention layers return it.

        Raises:
            ModelError: the output is something else.
        """
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            raise ModelError(
                f"layer '{path}' of the {self._role}",
                found=f"its output is a {type(output).__name__}",
                wanted="a tensor",
                fix="name a layer inside it",
            )
        # A copy: an activation that works in place, as ReLU(inplace=True), would change it after the fact.
        self._features[path] = first.clone()

    def __getitem__(self, path: str) -> Tensor:
        if path not in self._features:
            raise ModelError(
                f"layer '{path}' of the {self._role}",
                found="it took no part in the forward pass",
                fix="name a layer whose `forward` is called",
            )
        return self._features[path]


@contextmanager
def tapped(model: nn.Module, paths: Iterable[str], *, role: str) -> Iterator[Taps]:
    """Record the outputs of some layers while the context lasts; nothing stays behind on the model.

    A path with `@input` records what goes into the layer. Of a layer that runs several times in one pass, the last is
    kept. Every recording is a copy: it costs its size in memory, and no more.

    Raises:
        ModelError: there is no such layer.
    """
    taps = Taps(role)
    layers = {path: layer_named(model, path.removesuffix(INPUT), role=role) for path in paths}
    handles = [_hooked(layer, taps, path) for path, layer in layers.items()]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def _hooked(layer: nn.Module, taps: Taps, path: str) -> RemovableHandle:
    if not path.endswith(INPUT):
        return layer.register_forward_hook(_recorder(taps, path))

    def record(_module: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
        taps.record(path, (*inputs, *named.values()))

    return layer.register_forward_pre_hook(record, with_kwargs=True)


def _recorder(taps: Taps, path: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def record(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
        taps.record(path, output)

    return record


def whole_tokens(features: Tensor, inputs: Tensor, *, padding: int | None) -> Tensor:
    """Return features of texts with as many tokens as the inputs have, 0 at padding; others as they are.

    Models may leave out what is padding in every text of a batch; a cache wants one shape, in which zeros say where
    there is no token.

    Args:
        features: of one layer; (batch, tokens, width) are a text's.
        inputs: what the model was given; token numbers (batch, length), of texts.
        padding: number of the padding token; None of anything but texts.
    """
    if padding is None or features.ndim != inputs.ndim + 1 or features.shape[1] > inputs.shape[1]:
        return features
    known = inputs[:, : features.shape[1], None] != padding
    return functional.pad(features * known, (0, 0, 0, inputs.shape[1] - features.shape[1]))


@torch.no_grad()
def probe_shapes(
    model: nn.Module,
    inputs: Tensor,
    paths: Sequence[str],
    *,
    role: str,
    pixels: tuple[int, ...] = (),
    padding: int | None = None,
) -> OutputShapes:
    """Return the shapes that a model gives, from one forward pass in evaluation mode.

    Args:
        model: it is left as it was.
        inputs: (batch, *input_shape), float32; two samples are enough.
        paths: layers whose features to look at.
        role: "teacher" or "student", for messages.
        pixels: (height, width) where every pixel has a class.
        padding: as in `whole_tokens`.

    Raises:
        ModelError: a layer is not there or does not run, the model does not take such inputs, or its output
            is no tensor (batch, classes, *pixels).
    """
    with evaluating(model), tapped(model, paths, role=role) as taps:
        try:
            outputs: object = model(inputs)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(role, found=f"it fails on inputs of shape {tuple(inputs.shape)}: {error}") from error
        classes = checked_logits(outputs, batch=len(inputs), role=role, pixels=pixels).shape[1]
        whole = {path: whole_tokens(taps[path], inputs, padding=padding) for path in paths}
        features = {path: tuple(seen.shape[1:]) for path, seen in whole.items()}
        return OutputShapes(classes=classes, pixels=pixels, features=features)


def probe_on_data(model: nn.Module, transfer_set: TransferSet, paths: Sequence[str], *, role: str) -> OutputShapes:
    """Return the shapes that a model gives on a transfer set's samples.

    Raises:
        ModelError: as `probe_shapes`, or the model has other classes than the data.
    """
    inputs = torch.from_numpy(transfer_set.plain(range(min(2, len(transfer_set)))).inputs)
    pixels, padding = transfer_set.samples.labels.shape[1:], padding_of(transfer_set)
    shapes = probe_shapes(model, inputs, paths, role=role, pixels=pixels, padding=padding)
    classes = len(transfer_set.samples.classes)
    if classes and shapes.classes != classes:
        raise ModelError(role, found=f"{shapes.classes} classes", wanted=f"{classes}, as the data has")
    return shapes


def padding_of(transfer_set: TransferSet) -> int | None:
    """Return the number of the padding token of texts; None of anything else."""
    return transfer_set.tokenizer.padding if isinstance(transfer_set, TokenizedTexts) else None


def checked_logits(outputs: object, *, batch: int, role: str, pixels: tuple[int, ...] = ()) -> Tensor:
    """Return a model's outputs if they are logits (batch, classes), of maps (batch, classes, height, width).

    Raises:
        ModelError: they are something else.
    """
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if (
        not isinstance(outputs, Tensor)
        or outputs.ndim != 2 + len(pixels)
        or len(outputs) != batch
        or outputs.shape[2:] != pixels
    ):
        wanted = f"a tensor of shape ({', '.join([str(batch), 'classes', *map(str, pixels)])})"
        raise ModelError(f"output of the {role}", found=f"{found}", wanted=wanted)
    return outputs
