"""Which axes of a network's tensors hold the same channels, and so can only be cut together.

A convolution's output channels are the next one's input channels; a residual addition makes two layers' output channels
one set. The groups are found in the graph that torch.export gives, so that any module can be looked at whose channels
pass through convolutions, linear layers, batch norms, poolings, activations, additions, products and concatenations.

Source: Fang et al. 2023, arXiv:2301.12900, section 3 (dependency graph).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch

from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, fx, nn

MAP_AXES = 2  # batch and channels; what follows is space

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
KEEPING = frozenset(
    {
        *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "tanh", "elu", "clamp"),
        *("leaky_relu", "mish", "softplus", "dropout", "feature_dropout", "contiguous", "clone", "detach", "neg"),
        *("avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d", "upsample_nearest2d", "upsample_bilinear2d"),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "to", "_to_copy"),
    }
)
"""Operators behind which the channels are those of their first argument."""
JOINING = ("add", "sub", "mul", "div", "maximum", "minimum")
FLATTENING = ("flatten", "view", "reshape", "_unsafe_view", "squeeze")


@dataclass(frozen=True)
class Segment:
    """A run of an axis.

    Args:
        group: number of the channels it holds.
        repeat: entries of each channel: more than 1 where a map was flattened.
    """

    group: int
    repeat: int = 1


Axis = tuple[Segment, ...]


@dataclass
class ChannelGroups:
    """The groups of one network.

    Args:
        sizes: channels of each group.
        fixed: groups that cannot be cut: the network's inputs and outputs.
        axes: of each parameter and buffer, by name: what its axes hold, by number of the axis.
        norms: names of the weights of batch norms.
    """

    sizes: dict[int, int] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    axes: dict[str, dict[int, Axis]] = field(default_factory=dict)
    norms: set[str] = field(default_factory=set)
    _parents: dict[int, int] = field(default_factory=dict)

    def new(self, size: int) -> int:
        """Return the number of a new group."""
        number = len(self._parents)
        self._parents[number], self.sizes[number] = number, size
        return number

    def root(self, group: int) -> int:
        """Return the number that a group goes by since it was joined with others."""
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def join(self, one: Axis, other: Axis, *, thing: str) -> None:
        """Make two axes hold the same channels.

        Raises:
            ModelError: they are made up differently.
        """
        sizes = [[(self.sizes[self.root(part.group)], part.repeat) for part in axis] for axis in (one, other)]
        if sizes[0] != sizes[1]:
            raise ModelError(thing, found=f"channels {sizes[0]} and {sizes[1]}", wanted="as many on both sides")
        for left, right in zip(one, other, strict=True):
            kept, gone = self.root(left.group), self.root(right.group)
            self._parents[gone] = kept
            if gone in self.fixed:
                self.fixed.add(kept)

    def hold(self, name: str, place: int, axis: Axis) -> None:
        """Say what an axis of a parameter holds; of a shared parameter, both uses count."""
        known = self.axes.setdefault(name, {})
        if place in known:
            self.join(known[place], axis, thing=f"parameter '{name}'")
        known[place] = axis


def channel_groups(model: nn.Module, example: Tensor) -> ChannelGroups:
    """Return the groups of channels of a network.

    Args:
        model: maps (batch, channels, ...) to (batch, outputs).
        example: (batch, channels, ...), batch at least 2.

    Raises:
        ModelError: torch.export cannot capture the model, or channels pass through an operator that is not known here.
    """
    try:
        program = torch.export.export(copy.deepcopy(model).eval(), (example,))
    except Exception as error:
        raise ModelError(
            f"model {type(model).__name__}", found=f"torch.export cannot capture it: {str(error).splitlines()[0]}"
        ) from error
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    walk = _Walk(names)
    for node in program.graph.nodes:
        walk.visit(node)
    return walk.groups


class _Walk:
    """Goes through a graph, node by node."""

    def __init__(self, names: dict[str, str]) -> None:
        self.groups = ChannelGroups()
        self._names = names
        self._channels: dict[fx.Node, Axis] = {}

    def visit(self, node: fx.Node) -> None:
        """Take in one node."""
        if node.op == "placeholder":
            if node.name not in self._names:
                size = _shape(node)[1]
                group = self.groups.new(size)
                self.groups.fixed.add(group)
                self._channels[node] = (Segment(group),)
        elif node.op == "output":
            for output in cast("Sequence[fx.Node]", node.args[0]):
                self.groups.fixed |= {self.groups.root(part.group) for part in self._channels.get(output, ())}
        elif node.op == "call_function":
            self._call(node)

    def _call(self, node: fx.Node) -> None:
        name = str(node.target).split(".")[1].removesuffix("_") if str(node.target).startswith("aten.") else ""
        known = [source for source in node.all_input_nodes if source in self._channels]
        if not known:
            return
        if name in CONVOLUTIONS:
            self._channels[node] = self._convolution(node)
        elif name == "linear":
            self._channels[node] = self._weighted(node, place=1)
        elif name == "batch_norm":
            self._channels[node] = self._norm(node)
        elif name in KEEPING or (name == "mean" and len(_shape(node)) >= MAP_AXES and _keeps_channels(node)):
            self._channels[node] = self._channels[known[0]]
        elif name in JOINING and all(source in self._channels for source in node.all_input_nodes):
            for other in known[1:]:
                self.groups.join(self._channels[known[0]], self._channels[other], thing=f"operator '{node.name}'")
            self._channels[node] = self._channels[known[0]]
        elif name == "cat" and (node.args[1:] or (0,))[0] in (1, 1 - len(_shape(node))):
            self._channels[node] = tuple(part for source in known for part in self._channels[source])
        elif name in FLATTENING and len(_shape(node)) == MAP_AXES:
            repeat = math.prod(_shape(known[0])[MAP_AXES:])
            parts = self._channels[known[0]]
            self._channels[node] = tuple(Segment(part.group, part.repeat * repeat) for part in parts)
        else:
            raise ModelError(
                f"operator '{node.target}'",
                found="channels pass through it, and how is not known",
                wanted="convolutions, linear layers, batch norms, poolings, activations, additions, concatenations",
                fix="start at random, or with `method: copy-layers`",
            )

    def _convolution(self, node: fx.Node) -> Axis:
        source, weight = cast("fx.Node", node.args[0]), cast("fx.Node", node.args[1])
        groups = node.args[6] if len(node.args) > 6 else 1  # noqa: PLR2004 - aten.conv2d's seventh argument
        if groups == 1:
            return self._weighted(node, place=1)
        if groups == _shape(source)[1] == _shape(node)[1]:
            axis = self._channels[source]
            for argument in node.args[1:3]:
                self._hold(argument, 0, axis)
            return axis
        raise ModelError(
            f"convolution '{self._names.get(weight.name, weight.name)}'",
            found=f"{groups} groups",
            wanted="one group, or one per channel",
        )

    def _weighted(self, node: fx.Node, *, place: int) -> Axis:
        self._hold(node.args[1], place, self._channels[cast("fx.Node", node.args[0])])
        shape = _shape(node)
        axis = (Segment(self.groups.new(shape[1])),)
        for argument in node.args[1:3]:
            self._hold(argument, 0, axis)
        return axis

    def _norm(self, node: fx.Node) -> Axis:
        axis = self._channels[cast("fx.Node", node.args[0])]
        for argument in node.args[1:5]:
            self._hold(argument, 0, axis)
        if isinstance(node.args[1], torch.fx.Node):
            self.groups.norms.add(self._names[node.args[1].name])
        return axis

    def _hold(self, argument: object, place: int, axis: Axis) -> None:
        if isinstance(argument, torch.fx.Node):
            self.groups.hold(self._names[argument.name], place, axis)


def _keeps_channels(node: fx.Node) -> bool:
    axes = cast("Sequence[int]", node.args[1])
    rank = len(_shape(cast("fx.Node", node.args[0])))
    return all(axis % rank >= MAP_AXES for axis in axes)


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape)
