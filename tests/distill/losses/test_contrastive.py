from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.contrastive import ContrastiveMemory, contrastive_loss, drawn_negatives
from edgedistill.errors import DataError, ShapeError


def test_one_negative_by_hand() -> None:
    scores = torch.tensor([[3.0, 0.5], [1.0, 2.0]], dtype=torch.float64)
    noise = 1 / 10  # one negative of ten samples
    true = [3 / (3 + noise), 1 / (1 + noise)]
    false = [noise / (0.5 + noise), noise / (2 + noise)]
    wanted = -sum(math.log(share) for share in (*true, *false)) / 2
    assert float(contrastive_loss(scores, samples=10)) == pytest.approx(wanted, rel=1e-5)  # SMALLEST in the shares


def test_better_separation_is_a_smaller_loss() -> None:
    close = contrastive_loss(torch.tensor([[5.0, 0.1, 0.1]]), samples=4)
    far = contrastive_loss(torch.tensor([[0.1, 5.0, 5.0]]), samples=4)
    assert 0 < float(close) < float(far)
    with pytest.raises(ShapeError, match="negatives"):
        contrastive_loss(torch.ones(2, 1), samples=4)


@given(seed=st.integers(0, 1000), labels=st.lists(st.integers(-1, 2), min_size=6, max_size=12))
def test_negatives_are_of_another_class_and_all_of_them_occur(seed: int, labels: list[int]) -> None:
    labels[:3] = [0, 1, -1]
    classes = torch.tensor(labels)
    indices = torch.arange(len(labels))
    generator = torch.Generator().manual_seed(seed)
    drawn = drawn_negatives(indices, classes, count=400, generator=generator)
    for sample, row in enumerate(drawn.tolist()):
        wanted = {
            other
            for other, label in enumerate(labels)
            if (other != sample if labels[sample] < 0 else label != labels[sample])
        }
        assert set(row) == wanted


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match="one class only"):
        drawn_negatives(torch.tensor([0]), torch.zeros(4, dtype=torch.int64), count=2)


def memory(samples: int = 8) -> ContrastiveMemory:
    torch.manual_seed(0)
    return ContrastiveMemory((3, 2, 2), (5,), samples=samples, width=4)


def step(module: ContrastiveMemory, negatives: torch.Tensor | None = None) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 2, 2, generator=draw), torch.randn(2, 5, generator=draw)
    others = torch.tensor([[1, 2], [3, 4]]) if negatives is None else negatives
    loss: torch.Tensor = module(*features, torch.tensor([6, 7]), others)
    return loss


def test_the_first_batch_sets_the_constants_and_only_its_rows_are_remembered() -> None:
    module = memory()
    before = module.student_memory.clone()
    loss = step(module)
    constants = module.constants.clone()
    torch.autograd.backward(loss)
    assert bool((constants > 0).all())
    changed = (module.student_memory != before).any(1)
    assert changed.tolist() == [False] * 6 + [True] * 2
    torch.testing.assert_close(module.student_memory[6:].norm(dim=1), torch.ones(2))
    step(module)
    assert torch.equal(module.constants, constants)
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_both_ways_to_score_agree() -> None:
    module = memory(8)
    embeddings = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    chosen = torch.arange(40).reshape(2, 20) % 6  # 40 rows of 8 in memory: all products; 8 at a time: row by row
    whole = module._scores(embeddings, module.student_memory, chosen)
    parts = [module._scores(embeddings, module.student_memory, part) for part in chosen.split(4, dim=1)]
    torch.testing.assert_close(whole, torch.cat(parts, 1))
    by_hand = torch.exp(module.student_memory[chosen[1, 3]] @ embeddings[1] / 0.07)
    torch.testing.assert_close(whole[1, 3], by_hand)


def test_in_evaluation_nothing_is_remembered() -> None:
    module = memory()
    step(module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    step(module.eval())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
