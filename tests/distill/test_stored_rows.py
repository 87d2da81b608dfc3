from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.cache_files import LOGITS, SCALES, TOP_CLASSES, Storage
from edgedistill.distill.stored_rows import (
    errors_of,
    half_features,
    half_logits,
    int8_features,
    read_back,
    stored,
    top_logits,
)
from edgedistill.errors import ModelError
from edgedistill.recipe import StoredFeatures

INT8 = Storage(features=StoredFeatures.INT8)


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=shape).astype(np.float32))


def arrays(rows: object) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in rows.tensors.items()}


def test_top_logits_by_hand() -> None:
    logits = torch.tensor([[math.log(5), 0.0, math.log(2), math.log(3)]]).half()
    values, classes, rest = top_logits(logits, k=2, temperature=1.0)
    assert values.tolist() == [[logits[0, 0].item(), logits[0, 3].item()]]
    assert classes.tolist() == [[0, 3]]
    assert classes.dtype == torch.int16
    assert rest.item() == pytest.approx(math.log(1.5), rel=2**-10)  # the mean of exp over the others: (1 + 2) / 2
    _, _, rest = top_logits(logits, k=2, temperature=2.0)
    assert rest.item() == pytest.approx(2 * math.log((1 + math.sqrt(2)) / 2), rel=2**-9)
    assert top_logits(torch.zeros(1, 2**15 + 1).half(), k=1, temperature=1.0)[1].dtype == torch.int32


@given(seed=st.integers(0, 1000), temperature=st.sampled_from([1.0, 4.0]), scale=st.sampled_from([0.1, 3.0, 20.0]))
def test_the_kept_classes_have_the_teachers_probability_and_the_others_together_too(
    seed: int, temperature: float, scale: float
) -> None:
    logits, k = noise(5, 200, seed=seed, scale=scale), 20
    rows = stored(logits, {}, Storage(top_k=k, temperature=temperature))
    outputs = read_back(arrays(rows), classes=200)
    wanted = torch.softmax(logits.half().double() / temperature, 1)
    found = torch.softmax(outputs.logits.double() / temperature, 1)
    kept = rows.tensors[TOP_CLASSES].long()
    # the others' value is a float16: 11 bits of up to 60, over the temperature
    torch.testing.assert_close(found.gather(1, kept), wanted.gather(1, kept), rtol=0.06 / temperature, atol=1e-9)
    others = 1 - wanted.gather(1, kept).sum(1)
    variation = (found - wanted).abs().sum(1) / 2
    assert bool((variation <= others * (1 + 0.06 / temperature) + 1e-6).all())
    whole = (found - torch.softmax(logits.double() / temperature, 1)).abs().sum(1) / 2
    assert errors_of([rows])[LOGITS] == pytest.approx(float(whole.mean()), rel=1e-3, abs=1e-6)


def test_a_softened_teacher_of_a_thousand_classes_loses_what_is_said() -> None:
    # at T = 4 the others hold most of the probability: what is lost is how they share it, not how much it is
    logits = noise(64, 1000, scale=2.0)
    logits[torch.arange(64), torch.arange(64)] += 12
    others = {}
    for k in (16, 128):
        rows = stored(logits, {}, Storage(top_k=k, temperature=4.0))
        wanted = torch.softmax(logits / 4, 1)
        others[k] = (1 - wanted.topk(k, 1).values.sum(1)).mean().item()
        assert errors_of([rows])[LOGITS] < others[k] / 4
    assert others[128] > 0.5


def test_errors_are_summed_over_batches() -> None:
    halves = [stored(noise(4, 9, seed=seed), {"a": noise(4, 6, seed=seed)}, INT8) for seed in (1, 2)]
    whole = stored(
        torch.cat([noise(4, 9, seed=seed) for seed in (1, 2)]),
        {"a": torch.cat([noise(4, 6, seed=seed) for seed in (1, 2)])},
        INT8,
    )
    assert errors_of(halves) == pytest.approx(errors_of([whole]))
    assert set(errors_of(halves)) == {"features/a"}
    assert errors_of([]) == {}


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-40, 1e-3, 1.0, 1e20]), shape=st.sampled_from([0, 1, 2]))
def test_int8_features_are_within_half_a_step(seed: int, scale: float, shape: int) -> None:
    shapes = {0: (7,), 1: (3, 5), 2: (3, 4, 2)}
    features = noise(6, *shapes[shape], seed=seed) * scale
    codes, scales = int8_features(features, layer="a")
    assert codes.shape == features.shape
    assert scales.shape == (6, 1 if shape == 0 else 3)
    rows = stored(torch.zeros(6, 2), {"a": features}, INT8)
    found = read_back(arrays(rows), classes=2).features["a"]
    grouped = features.reshape(6, scales.shape[1], -1).double()
    error = (found.reshape(grouped.shape).double() - grouped).abs().amax(2)
    # at 1e-40 scales are subnormal float32, which have few bits
    assert bool((error <= grouped.abs().amax(2) / 254 * (1 + 1e-4) + 1e-43).all())


def test_int8_of_zeros_and_of_what_float16_cannot_hold() -> None:
    features = torch.tensor([[0.0, 0.0], [1e30, -5e29]])
    codes, scales = int8_features(features, layer="a")
    assert codes.tolist() == [[0, 0], [127, -64]]
    assert scales[0].item() == 0
    with pytest.raises(ModelError, match="layer 'a' of the teacher: features that are not finite"):
        int8_features(torch.tensor([[math.inf]]), layer="a")


def test_the_stated_error_of_int8_is_the_measured_one() -> None:
    features = noise(50, 8, 7, 7)
    rows = stored(torch.zeros(50, 2), {"stages.1": features}, INT8)
    assert {name for name in rows.tensors if name.startswith(SCALES)} == {SCALES + "stages.1"}
    difference = read_back(arrays(rows), classes=2).features["stages.1"] - features
    measured = float(difference.square().sum().sqrt() / features.square().sum().sqrt())
    assert errors_of([rows])["features/stages.1"] == pytest.approx(measured, rel=1e-4)
    assert measured < 0.01


@given(
    row=st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=2, max_size=6),
    temperature=st.sampled_from([0.5, 1.0, 4.0, 100.0]),
)
def test_half_logits_keep_the_softmax(row: list[float], temperature: float) -> None:
    logits = torch.tensor([row])
    half = half_logits(logits)
    assert bool(torch.isfinite(half).all())
    if float(logits.abs().max()) <= 65504:
        assert torch.equal(half, logits.half())
        return
    # float16 keeps differences to 2^-11 of their size; what decides is within 104 temperatures of the largest
    found = torch.softmax(half.double() / temperature, 1)
    wanted = torch.softmax(logits.double() / temperature, 1)
    torch.testing.assert_close(found, wanted, rtol=104 * 2.0**-11, atol=1e-30)


def test_half_logits_by_hand() -> None:
    logits = torch.tensor([[1e6, 1e6 - 3, -1e6], [7.0, -2.0, 0.5], [3.0, 0.0, -70000.0]])
    wanted = [[0.0, -3.0, -65504.0], [7.0, -2.0, 0.5], [0.0, -3.0, -65504.0]]
    assert half_logits(logits).tolist() == wanted
    assert half_logits(logits).dtype == torch.float16


@pytest.mark.parametrize("value", [7e4, -7e4, float("nan"), float("inf")])
def test_features_beyond_float16_are_refused(value: float) -> None:
    with pytest.raises(ModelError, match=r"layer 'stem' of the teacher: features up to .*wanted at most 65504"):
        half_features(torch.tensor([[1.0, value]]), layer="stem")
    assert half_features(torch.tensor([[65504.0]]), layer="stem").item() == 65504
