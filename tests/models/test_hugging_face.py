"""Teachers in a Hugging Face folder: what they compute, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from small_tokenizers import tokenizer_json

from edgedistill.errors import ModelError, UnsafeFileError
from edgedistill.models.hugging_face import embedding_width, teacher_from_folder, token_embeddings, token_numbers

if TYPE_CHECKING:
    from pathlib import Path

transformers = pytest.importorskip("transformers", reason="the package is in the extra 'text'")
TOKENS = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 3, 0, 0, 0]], dtype=torch.int32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny BERT and its classifier."""
    folder = tmp_path_factory.mktemp("teachers")
    vocabulary = len(json.loads(tokenizer_json())["model"]["vocab"])
    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder / "encoder")
    transformers.BertForSequenceClassification(config).save_pretrained(folder / "classifier")
    for name in ("encoder", "classifier"):
        (folder / name / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    return folder


def by_hand(folder: Path) -> torch.Tensor:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    states = [model(input_ids=row[row != 0][None].long()).last_hidden_state[0] for row in TOKENS]
    return torch.stack([state.mean(0) for state in states])


def test_embeddings_are_the_mean_over_the_tokens(saved: Path) -> None:
    with torch.no_grad():
        found = teacher_from_folder(saved / "encoder", padding=0)(TOKENS)
        torch.testing.assert_close(found, by_hand(saved / "encoder"), rtol=1e-5, atol=1e-5)


def test_pooling_is_read_as_sentence_transformers_writes_it(saved: Path, tmp_path: Path) -> None:
    for file in (saved / "encoder").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    (tmp_path / "1_Pooling").mkdir()
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}')
    with torch.no_grad():
        expected = torch.nn.functional.normalize(by_hand(tmp_path))
        torch.testing.assert_close(teacher_from_folder(tmp_path, padding=0)(TOKENS), expected, rtol=1e-5, atol=1e-5)
    pooling.write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ModelError, match="pooling_mode_max_tokens"):
        teacher_from_folder(tmp_path, padding=0)
    (tmp_path / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ModelError, match="Dense"):
        teacher_from_folder(tmp_path, padding=0)


def test_a_classifier_gives_its_logits(saved: Path) -> None:
    with torch.no_grad():
        found = teacher_from_folder(saved / "classifier", padding=0)(TOKENS)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(saved / "classifier").eval()
        expected = torch.cat([model(input_ids=row[row != 0][None].long()).logits for row in TOKENS])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_head_makes_a_classifier_of_an_encoder(saved: Path, tmp_path: Path) -> None:
    weight, bias = torch.randn(4, 16), torch.randn(4)
    save_file({"head.weight": weight, "head.bias": bias}, tmp_path / "head.safetensors")
    with torch.no_grad():
        found = teacher_from_folder(saved / "encoder", padding=0, head=tmp_path / "head.safetensors")(TOKENS)
        expected = by_hand(saved / "encoder") @ weight.T + bias
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    save_file({"head.weight": weight[:, :8].contiguous(), "head.bias": bias}, tmp_path / "head.safetensors")
    with pytest.raises(ModelError, match=r"wanted \(classes, 16\)"):
        teacher_from_folder(saved / "encoder", padding=0, head=tmp_path / "head.safetensors")


def test_tables_are_read_without_the_model(saved: Path) -> None:
    model = transformers.AutoModel.from_pretrained(saved / "encoder")
    torch.testing.assert_close(token_embeddings(saved / "encoder"), model.embeddings.word_embeddings.weight.detach())
    assert embedding_width(saved / "encoder") == 16
    assert token_numbers(saved / "encoder")["good"] == json.loads(tokenizer_json())["model"]["vocab"]["good"]


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsafeFileError, match="pickled"):
        teacher_from_folder(tmp_path, padding=0)


@pytest.mark.parametrize(
    ("config", "message"),
    [(None, "No such file"), ("{", "no JSON"), ("[]", "a list"), ('{"model_type": "bert"}', r"no model\.safetensors")],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=message):
        teacher_from_folder(tmp_path, padding=0)
    with pytest.raises(ModelError, match="no such folder"):
        teacher_from_folder(tmp_path / "none", padding=0)


def test_code_in_a_folder_is_not_run(saved: Path, tmp_path: Path) -> None:
    for file in (saved / "encoder").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"}, "model_type": "evil"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(ModelError, match="transformers says"):
        teacher_from_folder(tmp_path, padding=0)
