from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill.start.copied_layers import copy_layers
from edgedistill.errors import ModelError
from edgedistill.models.text import TextEncoder

TOKENS = torch.tensor([[3, 5, 1, 0], [2, 2, 2, 2]])


def encoder(layers: int, *, width: int = 8, seed: int = 0, classes: int = 3) -> TextEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextEncoder(classes=classes, vocabulary=10, length=4, width=width, layers=layers, heads=2).eval()


class Wrapped(nn.Module):
    """A model that holds an encoder somewhere else."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.inner(tokens)  # type: ignore[no-any-return]


def test_all_layers_make_the_teacher_and_some_make_the_teacher_without_the_others() -> None:
    teacher, student = encoder(4), encoder(4, seed=1)
    record = copy_layers(student, teacher, [0, 1, 2, 3])
    assert torch.equal(student(TOKENS), teacher(TOKENS))
    assert (record.copied, record.random) == (record.total, ())
    shallow = encoder(2, seed=2)
    assert copy_layers(shallow, teacher, [3, 1]).text.startswith(
        "the student starts from its teacher: layers 3, 1 of 4; "
    )
    teacher.layers = nn.ModuleList([teacher.layers[3], teacher.layers[1]])
    assert torch.equal(shallow(TOKENS), teacher(TOKENS))


def test_lists_at_other_paths_and_heads_of_other_shapes() -> None:
    teacher, student = Wrapped(encoder(3)), encoder(1, seed=1, classes=5)
    record = copy_layers(student, teacher, [2])
    assert record.random == ("head.weight", "head.bias")
    assert record.text.endswith("left random: head.weight, head.bias")
    assert torch.equal(student.embedding.weight, teacher.inner.embedding.weight)
    assert torch.equal(student.layers[0].query.weight, teacher.inner.layers[2].query.weight)
    named = encoder(1, seed=1, classes=5)
    copy_layers(named, teacher, [2], student_path="layers", teacher_path="inner.layers")
    assert torch.equal(named.layers[0].query.weight, student.layers[0].query.weight)


@pytest.mark.parametrize(
    ("student", "layers", "options", "message"),
    [
        (encoder(2), [0], {}, r"'student\.start\.layers': 1 layers; wanted 2, as 'layers' of the student has"),
        (encoder(1), [4], {}, r"'student\.start\.layers': 4: 'layers' of the teacher has 4 layers, from 0"),
        (encoder(1, width=4), [0], {}, r"'layers\.0\.\S+': the teacher's 'layers\.0\.\S+' has shape"),
        (nn.Linear(2, 2), [0], {}, "the student: no list of layers"),
        (encoder(1), [0], {"teacher_path": "norm"}, "'norm' of the teacher: a LayerNorm; wanted a list of layers"),
        (encoder(1), [0], {"teacher_path": "layer"}, "layer 'layer': not in the teacher"),
    ],
)
def test_what_does_not_fit_is_refused(
    student: nn.Module, layers: list[int], options: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        copy_layers(student, encoder(4), layers, **options)


def test_layers_of_another_kind_are_refused() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8))])

    with pytest.raises(ModelError, match=r"'layers\.0\.0\.weight': the teacher's 'layers\.1\.0\.weight' has no such"):
        copy_layers(Other(), encoder(4), [1])


def test_a_hugging_face_encoder_gives_its_layers_to_a_shallower_one() -> None:
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")

    def bert(layers: int, seed: int) -> nn.Module:
        config = transformers.BertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=8,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return transformers.BertModel(config).eval()

    teacher, student = Wrapped(bert(4, 0)), bert(2, 1)
    record = copy_layers(student, teacher, [1, 3])
    assert record.random == ()
    teacher.inner.encoder.layer = nn.ModuleList([teacher.inner.encoder.layer[1], teacher.inner.encoder.layer[3]])
    with torch.no_grad():
        assert torch.equal(
            student(input_ids=TOKENS).last_hidden_state, teacher.inner(input_ids=TOKENS).last_hidden_state
        )
