"""Rewrites of a captured graph into operators that integer kernels exist for; each computes the same function.

Every rewrite is one function over the graph. What has no equal in integers stays as it is and is computed in float.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, fx, nn

from edgedistill.quantize.graph import attribute, calls, shape_of
from edgedistill.quantize.patterns import ATEN, Role, role_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

IMAGE_PADS = 4  # left, right, top, bottom
MATRIX = 2  # axes of a matrix


def clamp_by_hardtanh(graph: fx.GraphModule) -> None:
    """Write ReLU6 and clamps to [0, c] as hardtanh, clamps to [0, inf) as ReLU."""
    for node in calls(graph, ATEN.relu6.default):
        node.target, node.args = ATEN.hardtanh.default, (node.args[0], 0.0, 6.0)
    for node in calls(graph, ATEN.clamp.default):
        low, high = (*node.args[1:], None, None)[:2]
        if isinstance(low, int | float) and isinstance(high, int | float):
            node.target = ATEN.hardtanh.default
        elif low == 0 and high is None:
            node.target, node.args = ATEN.relu.default, (node.args[0],)
    for node in calls(graph, ATEN.clamp_min.default):
        if node.args[1] == 0:
            node.target, node.args = ATEN.relu.default, (node.args[0],)


def view_by_reshape(graph: fx.GraphModule) -> None:
    """Write each view as a reshape: other rewrites may leave its input in another memory layout."""
    for node in calls(graph, ATEN.view.default):
        node.target = ATEN.reshape.default


def silu_by_sigmoid(graph: fx.GraphModule) -> None:
    """Write SiLU as x * sigmoid(x): both have integer kernels, SiLU has none."""
    for node in calls(graph, ATEN.silu.default):
        with _before(graph, node) as insert:
            gate = insert(ATEN.sigmoid.default, node.args[0])
            _replace(graph, node, insert(ATEN.mul.Tensor, node.args[0], gate))


def attention_by_products(graph: fx.GraphModule) -> None:
    """Write scaled_dot_product_attention as matrix products and a softmax.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1. Causal attention without a mask is left as it is.
    """
    for node in calls(graph, ATEN.scaled_dot_product_attention.default):
        query, key, value, mask, _, causal = _arguments(node, None, None, None, None, 0.0, False)
        shape = shape_of(cast("fx.Node", query))
        if causal or shape is None or node.kwargs.get("enable_gqa"):
            continue
        scale = node.kwargs.get("scale") or int(shape[-1]) ** -0.5
        mask = mask if mask is not None else node.kwargs.get("attn_mask")
        with _before(graph, node) as insert:
            scores = insert(ATEN.matmul.default, query, insert(ATEN.transpose.int, key, -2, -1))
            scores = _masked(insert, insert(ATEN.mul.Tensor, scores, scale), mask)
            shares = insert(ATEN.softmax.int, scores, -1)
            _replace(graph, node, insert(ATEN.matmul.default, shares, value))


def linear_over_rows(graph: fx.GraphModule) -> None:
    """Write a linear layer over more than two axes as one over a matrix, which integer kernels compute with bias."""
    for node in calls(graph, ATEN.linear.default):
        source = cast("fx.Node", node.args[0])
        shape = shape_of(source)
        if shape is None or len(shape) == MATRIX or sum(not isinstance(size, int) for size in shape) > 1:
            continue
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        if -1 not in sizes:
            continue  # two -1 would be needed where the batch is not free; does not happen behind capture
        width = attribute(graph, node.args[1]).shape[0]
        with _before(graph, node) as insert:
            rows = insert(ATEN.reshape.default, source, [-1, sizes[-1]])
            product = insert(ATEN.linear.default, rows, *node.args[1:])
            product.meta["nn_module_stack"] = node.meta.get("nn_module_stack")
            _replace(graph, node, insert(ATEN.reshape.default, product, [*sizes[:-1], width]))


def transposed_convolution_by_shuffle(graph: fx.GraphModule) -> None:
    """Write a transposed convolution whose kernel equals its stride as a 1x1 convolution and a pixel shuffle."""
    for node in calls(graph, ATEN.conv_transpose2d.input):
        weight = attribute(graph, node.args[1])
        settings = _arguments(node, None, None, None, [1, 1], [0, 0], [0, 0], 1, [1, 1])
        bias, stride, padding, output_padding, groups, dilation = settings[2:]
        side = weight.shape[2]
        plain = groups == 1 and _all(padding, 0) and _all(output_padding, 0) and _all(dilation, 1)
        if not plain or weight.shape[3] != side or not _all(stride, side):
            continue
        stem = str(cast("fx.Node", node.args[1]).target).replace(".", "_")
        arranged = weight.detach().permute(1, 2, 3, 0).reshape(-1, weight.shape[0], 1, 1)
        graph.register_parameter(f"{stem}_shuffled", nn.Parameter(arranged.clone()))
        with _before(graph, node) as insert:
            arguments = [graph.graph.get_attr(f"{stem}_shuffled")]
            if bias is not None:
                repeated = attribute(graph, bias).detach().repeat_interleave(side * side)
                graph.register_parameter(f"{stem}_bias_shuffled", nn.Parameter(repeated))
                arguments.append(graph.graph.get_attr(f"{stem}_bias_shuffled"))
            convolved = insert(ATEN.conv2d.default, node.args[0], *arguments)
            convolved.meta["nn_module_stack"] = node.meta.get("nn_module_stack")
            _replace(graph, node, insert(ATEN.pixel_shuffle.default, convolved, side))


def padding_into_convolutions(graph: fx.GraphModule) -> None:
    """Move zeros that are padded on both sides alike into the convolution that alone reads them."""
    for node in calls(graph, ATEN.pad.default):
        pads, readers = list(node.args[1]), list(node.users)  # type: ignore[arg-type] # a list of ints
        value = (*node.args[2:], *node.kwargs.values(), "constant")
        if value[0] != "constant" or any(item for item in node.args[3:]) or len(readers) != 1:
            continue
        reader = readers[0]
        alike = pads[0::2] == pads[1::2] and all(isinstance(size, int) for size in pads)
        convolves = reader.target in (ATEN.conv1d.default, ATEN.conv2d.default)
        if not alike or not convolves or len(pads) > IMAGE_PADS or reader.args[0] is not node:
            continue
        axes = attribute(graph, reader.args[1]).ndim - MATRIX
        if len(pads) // 2 != axes:
            continue
        _pad_convolution(reader, [int(size) for size in pads[0::2]][::-1], axes)
        node.replace_all_uses_with(cast("fx.Node", node.args[0]))
        graph.graph.erase_node(node)


def mean_keeps_axes(graph: fx.GraphModule) -> None:
    """Write a mean over all axes behind the channels as one that keeps them, and a flattening that moves codes only."""
    for node in calls(graph, ATEN.mean.dim):
        keeps = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)  # noqa: PLR2004 - input, axes, keepdim
        if role_of(node) is Role.POOLED and not keeps:
            with _before(graph, node) as insert:
                pooled = insert(ATEN.mean.dim, node.args[0], node.args[1], True)
                _replace(graph, node, insert(ATEN.flatten.using_ints, pooled, 1))


def _pad_convolution(node: fx.Node, more: list[int], axes: int) -> None:
    arguments = _arguments(node, None, None, None, [1] * axes, [0] * axes)
    before = cast("list[int]", arguments[4])
    before = before * axes if len(before) < axes else before
    arguments[4] = [old + new for old, new in zip(before, more, strict=True)]
    node.args = tuple(arguments)  # type: ignore[arg-type] # nodes, numbers and lists of them


def _arguments(node: fx.Node, *defaults: object) -> list[object]:
    """Return the arguments of a call, those that were left out by their defaults."""
    return [*node.args, *defaults[len(node.args) :]]


def _all(sizes: object, wanted: int) -> bool:
    return isinstance(sizes, list | tuple) and all(size == wanted for size in sizes)


def _masked(insert: Callable[..., fx.Node], scores: fx.Node, mask: object) -> fx.Node:
    """Return the scores with a mask applied: a boolean one says what takes part, a float one is added."""
    if not isinstance(mask, fx.Node):
        return scores
    value = mask.meta.get("val")
    if isinstance(value, Tensor) and value.dtype == torch.bool:
        return insert(ATEN.masked_fill.Scalar, scores, insert(ATEN.logical_not.default, mask), -math.inf)
    return insert(ATEN.add.Tensor, scores, mask)


class _before:  # noqa: N801 - a context manager that reads as a word
    """Inserts operators before a node; each gets the value it would have, so that later rewrites know its shape."""

    def __init__(self, graph: fx.GraphModule, node: fx.Node) -> None:
        self.graph, self.node = graph, node
        self.place = graph.graph.inserting_before(node)

    def __enter__(self) -> Callable[..., fx.Node]:
        self.place.__enter__()
        return self._insert

    def __exit__(self, *_: object) -> None:
        self.place.__exit__(None, None, None)

    def _insert(self, target: Callable[..., object], *arguments: object) -> fx.Node:
        name = str(target).split(".")[1]  # of "aten.sigmoid.default"
        inserted = self.graph.graph.create_node("call_function", target, arguments, name=name)  # type: ignore[arg-type] # nodes, numbers, lists
        values = fx.node.map_arg(inserted.args, self._value)  # type: ignore[arg-type] # values take the place of nodes
        inserted.meta["val"] = target(*cast("Iterator[object]", values))
        inserted.meta["nn_module_stack"] = self.node.meta.get("nn_module_stack")
        return inserted

    def _value(self, node: fx.Node) -> object:
        if node.op == "get_attr":
            return _fake_like(self.node, attribute(self.graph, node))
        return node.meta["val"]


def _fake_like(node: fx.Node, value: Tensor) -> Tensor:
    """Return a parameter as the fake tensor that belongs to the values of the graph."""
    return cast("Tensor", node.meta["val"].fake_mode.from_tensor(value.detach(), static_shapes=True))


def _replace(graph: fx.GraphModule, node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)


REWRITES: Sequence[Callable[[fx.GraphModule], None]] = (
    view_by_reshape,
    clamp_by_hardtanh,
    silu_by_sigmoid,
    attention_by_products,
    transposed_convolution_by_shuffle,
    padding_into_convolutions,
    mean_keeps_axes,
    linear_over_rows,
)
