"""Each rule: a graph that breaks it, and graphs that break none; and what NVIDIA's own builder says of some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tensorrt_cases import BROKEN, CLEAN, Case

from edgedistill.targets.base import Severity
from edgedistill.targets.jetson_tensorrt.finding import Effect, Setting, Where
from edgedistill.targets.jetson_tensorrt.rules import RULES, broken_rules
from edgedistill.targets.jetson_tensorrt.structure import structure_of

if TYPE_CHECKING:
    from pathlib import Path

EFFECTS = {rule.name: rule.effect for rule in RULES}


def title(case: Case) -> str:
    return f"{case.rule} {case.name}".strip()


@pytest.mark.parametrize("case", BROKEN, ids=title)
def test_a_graph_that_breaks_a_rule_is_found(case: Case) -> None:
    issues = broken_rules(case.make(), Setting(case.tensorrt))
    assert case.rule in {issue.rule for issue in issues}
    assert all(issue.node and issue.message and issue.fix for issue in issues)


@pytest.mark.parametrize("case", CLEAN, ids=title)
def test_a_graph_that_breaks_none_is_left_alone(case: Case) -> None:
    assert broken_rules(case.make(), Setting(case.tensorrt)) == []


def test_every_rule_of_the_gpu_has_a_graph_that_breaks_it() -> None:
    assert {rule.name for rule in RULES if rule.where is not Where.DLA} == {case.rule for case in BROKEN}


def test_every_rule_says_where_it_is_from() -> None:
    assert all(rule.source and rule.happens and rule.fix for rule in RULES)


def test_a_rule_holds_for_its_versions() -> None:
    (rule,) = [rule for rule in RULES if rule.name == "TRT035"]
    assert [rule.holds_for(Setting(version)) for version in ((8, 6), (10, 16), (11, 0), (11, 4))] == [
        *(False, False),
        *(True, True),
    ]


def test_dla_rules_hold_for_dla_only() -> None:
    (model,) = [case.make() for case in CLEAN if case.name == "HardSwish after conv"]
    found = {issue.rule for issue in broken_rules(model, Setting((10, 3), dla=True))}
    assert found == {"DLA002", "DLA004"}
    named = [issue for issue in broken_rules(model, Setting((11, 4), dla=True)) if issue.rule == "DLA002"]
    assert [issue.node for issue in named] == ["hardswish_4"]
    assert named[0].severity is Severity.WARNING


def test_dla_takes_no_free_dimension() -> None:
    (model,) = [case.make() for case in BROKEN if case.rule == "TRT018"]
    issues = broken_rules(model, Setting(dla=True))
    assert ("DLA001", Severity.ERROR) in {(issue.rule, issue.severity) for issue in issues}


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in (*BROKEN, *CLEAN)
        if case.name
        in (
            "activation zero point 3",
            "computed scale",
            "int32 bias behind DequantizeLinear",
            "Conv weight scales along axis 1",
            "Concat of two scales",
            "residual block",
            "fp16 scales and remainder",
            "attention",
        )
    ],
    ids=title,
)
def test_nvidias_builder_says_the_same(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra `jetson` is not installed")
    path = tmp_path / "model.onnx"
    path.write_bytes(case.make().SerializeToString())
    found = structure_of(path)
    effect = EFFECTS.get(case.rule)
    assert found.built == (effect not in (Effect.REFUSED, Effect.CRASH))
    if effect is None:
        assert found.int8_share == 1
    elif effect is Effect.FLOAT:
        assert found.int8_share < 1
    else:
        assert found.errors
