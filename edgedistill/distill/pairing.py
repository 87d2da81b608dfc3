"""Which layers of teacher and student go together, where a recipe names none: found from what both give on samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.distill.layer_paths import INPUT, layers_matching
from edgedistill.distill.methods.base import LayerPair, Pairing
from edgedistill.distill.modes import evaluating
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOKENS, MAP = 2, 3
QUERIES = ("query", "q", "q_proj", "q_lin", "query_proj")
KEYS = ("key", "k", "k_proj", "k_lin", "key_proj")
VALUES = ("value", "v", "v_proj", "v_lin", "value_proj")


@dataclass(frozen=True)
class Layout:
    """What the layers of a model give for one sample.

    Args:
        role: "teacher" or "student", for messages.
        shapes: by path, without the batch, in the order in which layers finish: a part before the whole.
        heads: paths of the linear layers that give as many numbers as the model, in the same order.
    """

    role: str
    shapes: Mapping[str, tuple[int, ...]]
    heads: Sequence[str]


@torch.no_grad()
def layout_of(model: nn.Module, inputs: Tensor, *, role: str) -> Layout:
    """Return what every layer of a model gives, from one forward pass in evaluation mode.

    Layers that give no floating-point tensor with the batch as its first axis are left out. Of token numbers, features
    are taken to have as many tokens as the inputs, since models may leave out what is padding throughout.

    Args:
        model: it is left as it was.
        inputs: (batch, *input_shape); two samples are enough.
        role: "teacher" or "student", for messages.

    Raises:
        ModelError: the model does not take such inputs.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def recorder(path: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def record(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            if isinstance(first, Tensor) and first.is_floating_point() and first.ndim > 1 and len(first) == len(inputs):
                shapes.pop(path, None)  # of a layer that runs twice, the last time counts
                shapes[path] = _whole(tuple(first.shape[1:]), inputs)

        return record

    layers = {path: layer for path, layer in model.named_modules() if path}
    handles = [layer.register_forward_hook(recorder(path)) for path, layer in layers.items()]
    try:
        with evaluating(model):
            outputs: object = model(inputs)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(role, found=f"it fails on inputs of shape {tuple(inputs.shape)}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    own = tuple(outputs.shape[1:]) if isinstance(outputs, Tensor) else ()
    heads = [path for path, shape in shapes.items() if shape == own and isinstance(layers[path], nn.Linear)]
    return Layout(role, shapes, heads)


def named_pairs(student: nn.Module, teacher: nn.Module, *, student_path: str, teacher_path: str) -> list[LayerPair]:
    """Return the pairs that two paths or patterns name, in the models' order.

    As many layers on both sides go together one by one. Where the student has fewer, its k-th of n goes with the
    teacher's layer at the same depth: k · N / n of N (arXiv:1909.10351, section 4).

    Raises:
        ModelError: a pattern matches nothing, or the student has more layers than the teacher.
    """
    students = layers_matching(student, student_path, role="student")
    teachers = layers_matching(teacher, teacher_path, role="teacher")
    if len(students) > len(teachers):
        raise ModelError(
            f"layers '{student_path}' of the student and '{teacher_path}' of the teacher",
            found=f"{len(students)} and {len(teachers)}",
            wanted="at most as many of the student as of the teacher",
        )
    return _spaced(students, teachers)


def automatic_pairs(student: Layout, teacher: Layout, pairing: Pairing) -> list[LayerPair]:
    """Return the layers that go together by themselves.

    Raises:
        ModelError: there are none; says what each model has.
    """
    if pairing is Pairing.PENULTIMATE:
        return [LayerPair(_penultimate(teacher), _penultimate(student))]
    if pairing is Pairing.LAST_ATTENTION:
        parts = (QUERIES, KEYS, VALUES)
        return [LayerPair(_parts(teacher, names)[-1], _parts(student, names)[-1]) for names in parts]
    if pairing is Pairing.ATTENTIONS:
        return _attention_pairs(student, teacher)
    pairs = _stage_pairs(student, teacher)
    return pairs[-1:] if pairing is Pairing.LAST_STAGE else pairs


def _whole(shape: tuple[int, ...], inputs: Tensor) -> tuple[int, ...]:
    is_text = not inputs.is_floating_point() and inputs.ndim == TOKENS
    return (inputs.shape[1], shape[1]) if is_text and len(shape) == TOKENS else shape


def _stage_pairs(student: Layout, teacher: Layout) -> list[LayerPair]:
    maps = _last_of_resolutions(student), _last_of_resolutions(teacher)
    if maps[0] and maps[1]:
        shared = [size for size in maps[0] if size in maps[1]]
        if not shared:
            raise _no_pairs(student, teacher, *("resolutions " + _sizes(found) for found in maps))
        return [LayerPair(maps[1][size], maps[0][size]) for size in shared]
    students, teachers = (
        list(found.values()) or _blocks(layout) for found, layout in zip(maps, (student, teacher), strict=True)
    )
    if not (students and teachers):
        raise _no_pairs(student, teacher, f"{len(students)} stages", f"{len(teachers)} stages")
    count = min(len(students), len(teachers))
    return _spaced([students[place] for place in _places(count, len(students))], teachers)


def _last_of_resolutions(layout: Layout) -> dict[tuple[int, ...], str]:
    """Return the last map of each resolution above 1x1, in the order of the model.

    What is inside a block that ends at the next resolution is left out: such a block often widens at the old one first.
    """
    sizes = {path: shape[1:] for path, shape in layout.shapes.items() if len(shape) == MAP and shape[1] * shape[2] > 1}
    steps = [path for path in sizes if path[-1].isdigit() and len(_sizes_within(path, sizes)) == 2]  # noqa: PLR2004 - old and new
    found: dict[tuple[int, ...], str] = {}
    for path, size in sizes.items():
        if not any(path.startswith(f"{step}.") and sizes[step] != size for step in steps):
            found.pop(size, None)
            found[size] = path
    return found


def _sizes_within(path: str, sizes: Mapping[str, tuple[int, ...]]) -> set[tuple[int, ...]]:
    return {size for name, size in sizes.items() if name == path or name.startswith(f"{path}.")}


def _blocks(layout: Layout) -> list[str]:
    """Return the layers that a Transformer repeats: numbered, of one shape, outermost; else its last.

    A model for texts has maps of height 1 in its convolutions; those count as stages before this is asked.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    tokens = [(path, shape) for path, shape in layout.shapes.items() if len(shape) == TOKENS]
    for path, shape in tokens:
        parent, numbered = re.subn(r"\d+$", "", path)
        if numbered:
            groups.setdefault((parent, shape), []).append(path)
    if groups:
        return min(groups.values(), key=lambda paths: (paths[0].count("."), -len(paths)))
    return [path for path, _ in tokens][-1:]


def _penultimate(layout: Layout) -> str:
    if not layout.heads:
        raise ModelError(
            f"penultimate features of the {layout.role}",
            found="no linear layer that gives as many numbers as the model",
            wanted="a linear layer at the end",
            fix="name the layers: `teacher: LAYER` and `student: LAYER`, with @input for what goes into it",
        )
    return layout.heads[-1] + INPUT


def _parts(layout: Layout, names: Sequence[str]) -> list[str]:
    """Return the layers of one of the names, that give tokens, in the order of the model."""
    found = [path for path, shape in layout.shapes.items() if path.rpartition(".")[2] in names and len(shape) == TOKENS]
    if not found:
        raise ModelError(
            f"attention of the {layout.role}",
            found=f"no layer named {' or '.join(names)} that gives tokens",
            wanted="queries, keys and values by layers of their own",
            fix="choose another method, or name the layers",
        )
    return found


def _attention_pairs(student: Layout, teacher: Layout) -> list[LayerPair]:
    queries, keys = (_spaced_or_refused(student, teacher, names) for names in (QUERIES, KEYS))
    return [pair for both in zip(queries, keys, strict=True) for pair in both]


def _spaced_or_refused(student: Layout, teacher: Layout, names: Sequence[str]) -> list[LayerPair]:
    students, teachers = _parts(student, names), _parts(teacher, names)
    if len(students) > len(teachers):
        raise _no_pairs(student, teacher, f"{len(students)} attentions", f"{len(teachers)} attentions")
    return _spaced(students, teachers)


def _spaced(students: Sequence[str], teachers: Sequence[str]) -> list[LayerPair]:
    """Pair each layer of the student with the teacher's at the same depth."""
    places = _places(len(students), len(teachers))
    return [LayerPair(teachers[place], path) for path, place in zip(students, places, strict=True)]


def _places(count: int, total: int) -> list[int]:
    """Return `count` evenly spaced places among `total`, the last included."""
    return [(number + 1) * total // count - 1 for number in range(count)]


def _sizes(found: Mapping[tuple[int, ...], str]) -> str:
    return ", ".join("x".join(map(str, size)) for size in found)


def _no_pairs(student: Layout, teacher: Layout, of_student: str, of_teacher: str) -> ModelError:
    return ModelError(
        "pairs of layers",
        found=f"the {student.role} has {of_student}, the {teacher.role} {of_teacher}",
        wanted="some that go together",
        fix="name them: `teacher: LAYER` and `student: LAYER`",
    )
