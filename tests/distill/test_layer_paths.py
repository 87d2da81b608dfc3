from __future__ import annotations

import pytest
from torch import nn

from edgedistill.distill.layer_paths import is_pattern, layers_matching
from edgedistill.errors import ModelError


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(2, 2), nn.Linear(2, 2)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.layers = nn.ModuleList(Attention() for _ in range(11))
        self.head = nn.Sequential(nn.Linear(2, 2), nn.ReLU())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("stem", ["stem"]),
        ("layers.10.query", ["layers.10.query"]),
        ("head.*", ["head.0", "head.1"]),
        ("layers.{0,5}.key", ["layers.0.key", "layers.5.key"]),
        ("layers.{5,0}.key", ["layers.0.key", "layers.5.key"]),
        ("layers.[0-1].query", ["layers.0.query", "layers.1.query"]),
        ("layers.?.query", [f"layers.{number}.query" for number in range(10)]),
        ("layers.*.query", [f"layers.{number}.query" for number in range(11)]),
        ("{stem,head.1}", ["stem", "head.1"]),
        ("layers.1{,0}.query", ["layers.1.query", "layers.10.query"]),
        ("**.query", [f"layers.{number}.query" for number in range(11)]),
        ("head@input", ["head@input"]),
        ("head.*@input", ["head.0@input", "head.1@input"]),
    ],
)
def test_patterns_stand_for_one_part_of_a_path_each(pattern: str, found: list[str]) -> None:
    assert layers_matching(Model(), pattern, role="student") == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("layer.*", r"layer 'layer\.\*': not in the teacher\. did you mean 'layers'\? it has: head, layers, stem"),
        ("layers.11.query", r"did you mean 'layers\.1'\? it has: layers\.0, layers\.1, layers\.10, layers\.2"),
        ("layers.{0,1}.value", r"it has: layers\.0\.key, layers\.0\.query"),
        ("stem.*", "it has none"),
        ("", "not in the teacher"),
        ("**.value", "not in the teacher"),
        ("head@inputs", "layer 'head@inputs': not in the teacher"),
    ],
)
def test_no_match_names_what_is_there(pattern: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        layers_matching(Model(), pattern, role="teacher")


def test_what_is_a_pattern() -> None:
    assert [is_pattern(path) for path in ("a.0", "a.0@input", "a.*", "a.?", "{a,b}", "[ab]")] == [False] * 2 + [
        True
    ] * 4
