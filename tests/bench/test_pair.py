"""Comparisons of two artifacts that took turns, in closed form and on made-up machines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.bench.pair import comparison_of, pair_from_document
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ORDERS = ((0, 1, 1, 0, 1, 0, 0, 1), (1, 0, 0, 1, 0, 1, 1, 0))


@pytest.fixture
def pair_of(document_of: Callable[..., dict[str, object]]) -> Callable[..., dict[str, object]]:
    """Return a function that makes a pair's document: for each process, the samples of its eight blocks."""

    def make(*processes: Sequence[Sequence[int]]) -> dict[str, object]:
        shared = document_of()
        return {
            "schema": "edgedistill.bench-pair/1",
            **{name: shared[name] for name in ("started", "runtime", "device", "workload")},
            "artifacts": [shared["artifact"]] * 2,
            "verified": [shared["verified"]] * 2,
            "runner": "a test",
            "clock": "monotonic_ns",
            "processes": [
                {
                    "starts_with": index % 2,
                    "blocks": [
                        {"subject": subject, "samples_ns": [int(value) for value in samples]}
                        for subject, samples in zip(ORDERS[index % 2], blocks, strict=True)
                    ],
                }
                for index, blocks in enumerate(processes)
            ],
        }

    return make


def blocks(index: int, first: float, second: float, *, drift: float = 0.0) -> list[list[float]]:
    """Return eight blocks of five samples; `drift` is added, as a share, from block to block."""
    levels = [(first, second)[subject] * (1 + drift * place) for place, subject in enumerate(ORDERS[index % 2])]
    return [[level] * 5 for level in levels]


def test_a_known_ratio_with_students_interval(pair_of: Callable[..., dict[str, object]]) -> None:
    ratios = (1.045, 1.05, 1.055)
    document = pair_of(*(blocks(index, 1e8, 1e8 * ratio) for index, ratio in enumerate(ratios)))
    found = comparison_of(pair_from_document(document, thing="it"))
    logs = np.log(ratios)
    reach = 9.92484320 * logs.std(ddof=1) / math.sqrt(3)
    assert found.verdict == "slower"
    assert found.ratio == pytest.approx(math.exp(logs.mean()), rel=1e-7)
    assert found.ratio_ci99 == pytest.approx((math.exp(logs.mean() - reach), math.exp(logs.mean() + reach)), rel=1e-6)
    assert (found.processes, found.quads, found.n) == (3, 6, (60, 60))
    assert (found.first_ms, found.second_ms) == (100.0, 105.0)


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9, "faster"), (1.1, "slower"), (1.0, "no difference")])
def test_the_verdict_is_of_the_second_against_the_first(
    pair_of: Callable[..., dict[str, object]], ratio: float, verdict: str
) -> None:
    rng = np.random.default_rng(3)
    document = pair_of(*(blocks(index, 1e8, 1e8 * ratio * math.exp(rng.normal(0, 0.002))) for index in range(6)))
    assert comparison_of(pair_from_document(document, thing="it")).verdict == verdict


def test_an_even_drift_meets_both_alike(pair_of: Callable[..., dict[str, object]]) -> None:
    document = pair_of(*(blocks(index, 1e8, 1e8, drift=0.05) for index in range(6)))
    found = comparison_of(pair_from_document(document, thing="it"))
    assert found.ratio == pytest.approx(1.0, abs=0.002)


def test_one_disturbed_block_does_not_decide(pair_of: Callable[..., dict[str, object]]) -> None:
    disturbed = blocks(0, 1e8, 1e8)
    disturbed[1] = [3e8, 3e8, 1e8, 1e8, 1e8]
    document = pair_of(disturbed, *(blocks(index, 1e8, 1e8) for index in range(1, 4)))
    assert comparison_of(pair_from_document(document, thing="it")).ratio == 1.0


def test_two_processes_cannot_tell(pair_of: Callable[..., dict[str, object]]) -> None:
    document = pair_of(*(blocks(index, 1e8, 1e8) for index in range(2)))
    with pytest.raises(DataError, match="2 processes; wanted at least 3"):
        comparison_of(pair_from_document(document, thing="it"))


def test_an_emulators_pair_is_refused(pair_of: Callable[..., dict[str, object]]) -> None:
    document = pair_of(*(blocks(index, 1e8, 1e8) for index in range(3)))
    document["device"] = {**document["device"], "execution": "emulated"}
    with pytest.raises(DataError, match=r"device\.execution: Input should be 'device' or 'host'"):
        pair_from_document({"ok": True, "result": document}, thing="it")
