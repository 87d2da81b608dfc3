"""Teachers in a Hugging Face folder: configuration, safetensors and tokenizer on disk, nothing from a network.

Needs the extra `text`. No code in the folder is run, and no pickled weights are read.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional

from edgedistill.data.tokens import LARGEST_TOKENIZER_BYTES
from edgedistill.errors import DependencyError, ModelError, UnsafeFileError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

LARGEST_JSON_BYTES = 16 * 2**20
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"


class SentenceEncoder(nn.Module):
    """A Hugging Face encoder that maps token numbers to one embedding per text.

    Args:
        encoder: returns `last_hidden_state`.
        padding: number of the padding token.
        pooling: "mean" over the tokens of a text, or "cls": its first token.
        normalize: whether embeddings have length 1.
    """

    def __init__(self, encoder: nn.Module, *, padding: int, pooling: str, normalize: bool) -> None:
        super().__init__()
        self.encoder, self.padding = encoder, padding
        self.pooling, self.normalize = pooling, normalize

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to embeddings (batch, width)."""
        tokens, mask = trimmed(tokens, padding=self.padding)
        states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(2).to(states.dtype)
        pooled = states[:, 0] if self.pooling == "cls" else (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return functional.normalize(pooled, dim=1) if self.normalize else pooled


class SequenceClassifier(nn.Module):
    """A Hugging Face classifier that maps token numbers to logits.

    Args:
        classifier: returns `logits`.
        padding: number of the padding token.
    """

    def __init__(self, classifier: nn.Module, *, padding: int) -> None:
        super().__init__()
        self.classifier, self.padding = classifier, padding

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to logits (batch, classes)."""
        tokens, mask = trimmed(tokens, padding=self.padding)
        return self.classifier(input_ids=tokens, attention_mask=mask).logits  # type: ignore[no-any-return]


class HeadedEncoder(nn.Module):
    """A sentence encoder with a linear classifier on its embeddings.

    Args:
        encoder: maps token numbers to embeddings (batch, width).
        head: maps those to logits (batch, classes).
    """

    def __init__(self, encoder: SentenceEncoder, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to logits (batch, classes)."""
        return self.head(self.encoder(tokens))  # type: ignore[no-any-return]


def trimmed(tokens: Tensor, *, padding: int) -> tuple[Tensor, Tensor]:
    """Return token numbers without the columns that are padding in every row, int64, and their mask, int64."""
    known = tokens != padding
    longest = max(int(known.sum(1).max()), 1)
    return tokens[:, :longest].long(), known[:, :longest].long()


def teacher_from_folder(folder: Path, *, padding: int, head: Path | None = None) -> nn.Module:
    """Return the model in a Hugging Face folder, in evaluation mode.

    A folder of a `...ForSequenceClassification` gives logits. Any other gives sentence embeddings, pooled as
    sentence-transformers' `modules.json` and `1_Pooling` say (the mean over the tokens where they are not there), or,
    with a head, the head's logits.

    Args:
        folder: with config.json and model.safetensors.
        padding: number of the padding token of the tokenizer beside them.
        head: safetensors file with `head.weight` (classes, width) and `head.bias` (classes,).

    Raises:
        ModelError: the folder or the head cannot be used.
        UnsafeFileError: the folder has pickled weights only.
        DependencyError: transformers is not installed.
    """
    config = _configuration(folder)
    classifies = any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())
    model = _loaded(folder, "AutoModelForSequenceClassification" if classifies else "AutoModel")
    if classifies:
        if head is not None:
            raise ModelError(f"'{folder}'", found="a classifier, and 'weights' beside it", fix="name no 'weights'")
        return SequenceClassifier(model, padding=padding).eval()
    pooling, normalize = _pooling(folder)
    encoder = SentenceEncoder(model, padding=padding, pooling=pooling, normalize=normalize)
    return (encoder if head is None else HeadedEncoder(encoder, _head(head, int(config["hidden_size"])))).eval()


def embedding_width(folder: Path) -> int:
    """Return the width of a folder's sentence embeddings, without loading the model.

    Raises:
        ModelError: the folder cannot be used, or is no encoder's.
    """
    width = _configuration(folder).get("hidden_size")
    if not isinstance(width, int):
        raise ModelError(f"'{folder / 'config.json'}'", found="no 'hidden_size'", wanted="an encoder's configuration")
    return width


def token_embeddings(folder: Path) -> Tensor:
    """Return the table of token embeddings (vocabulary, width), float32, of a folder's model, alone.

    Raises:
        ModelError: the folder cannot be used, or has no such table.
        UnsafeFileError: it has pickled weights only.
    """
    path = _weights(folder)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.endswith("word_embeddings.weight")]  # noqa: SIM118 - no mapping
            names = names or [name for name in file.keys() if name.endswith("embed_tokens.weight")]  # noqa: SIM118 - as above
            if len(names) != 1:
                raise ModelError(f"'{path}'", found="no table of token embeddings", wanted="word_embeddings.weight")
            table: Tensor = file.get_tensor(names[0])
    except SafetensorError as error:
        raise ModelError(f"'{path}'", found=f"no safetensors: {error}") from error
    return table.float()


def token_numbers(folder: Path) -> dict[str, int]:
    """Return the number of each token of a folder's tokenizer.json.

    Raises:
        ModelError: there is no such file, or its vocabulary is no mapping.
    """
    path = folder / TOKENIZER
    try:
        vocabulary = _json(path, limit=LARGEST_TOKENIZER_BYTES)["model"]["vocab"]
        return {str(token): int(number) for token, number in vocabulary.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(f"'{path}'", found="no vocabulary", wanted="a mapping from tokens to numbers") from error


def _loaded(folder: Path, kind: str) -> nn.Module:
    _weights(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
    try:
        import transformers  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise DependencyError(
            "a 'huggingface:' teacher",
            found="transformers is not installed",
            fix="pip install 'edgedistill[text]'",
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        return getattr(transformers, kind).from_pretrained(  # type: ignore[no-any-return] # chosen by name
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    except Exception as error:  # transformers raises of every kind for what it cannot load
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"Hugging Face folder '{folder}'", found=f"transformers says: {first}") from error


def _weights(folder: Path) -> Path:
    path = folder / WEIGHTS
    if path.is_file() or (folder / f"{WEIGHTS}.index.json").is_file():
        return path
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        raise UnsafeFileError(
            f"Hugging Face folder '{folder}'",
            found=f"pickled weights ({pickled[0]}), which could run code",
            wanted=WEIGHTS,
            fix="save it with `save_pretrained(..., safe_serialization=True)`",
        )
    raise ModelError(f"Hugging Face folder '{folder}'", found=f"no {WEIGHTS}")


def _pooling(folder: Path) -> tuple[str, bool]:
    """Return how token features become an embedding, as sentence-transformers writes it down."""
    modules = _json(folder / "modules.json") if (folder / "modules.json").is_file() else []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules if isinstance(module, dict)]
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise ModelError(f"'{folder / 'modules.json'}'", found=f"a module '{unknown[0]}'", wanted="Pooling, Normalize")
    path = folder / "1_Pooling" / "config.json"
    settings = _json(path) if path.is_file() else {}
    chosen = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on is True]
    if chosen in ([], ["pooling_mode_mean_tokens"]):
        return "mean", "Normalize" in kinds
    if chosen == ["pooling_mode_cls_token"]:
        return "cls", "Normalize" in kinds
    raise ModelError(f"'{path}'", found=", ".join(chosen), wanted="pooling_mode_mean_tokens or pooling_mode_cls_token")


def _head(path: Path, width: int) -> nn.Linear:
    try:
        with safe_open(path, framework="pt") as file:
            names = sorted(file.keys())
            if names != ["head.bias", "head.weight"]:
                raise ModelError(f"'{path}'", found=f"tensors {', '.join(names)}", wanted="head.weight and head.bias")
            weight, bias = file.get_tensor("head.weight"), file.get_tensor("head.bias")
    except SafetensorError as error:
        raise ModelError(f"'{path}'", found=f"no safetensors: {error}") from error
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:  # noqa: PLR2004 - a matrix
        found = f"head.weight {tuple(weight.shape)} and head.bias {tuple(bias.shape)}"
        raise ModelError(f"'{path}'", found=found, wanted=f"(classes, {width}) and (classes,)")
    head = nn.Linear(width, len(bias))
    head.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return head


def _configuration(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(f"Hugging Face folder '{folder}'", found="no such folder")
    found = _json(folder / "config.json")
    if not isinstance(found, dict):
        raise ModelError(f"'{folder / 'config.json'}'", found=f"a {type(found).__name__}", wanted="an object")
    return found


def _json(path: Path, *, limit: int = LARGEST_JSON_BYTES) -> Any:  # noqa: ANN401 - JSON
    try:
        if path.stat().st_size > limit:
            raise ModelError(f"'{path}'", found=f"{path.stat().st_size:,} bytes", wanted="a configuration")
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"'{path}'", found=error.strerror or str(error)) from error
    except ValueError as error:
        raise ModelError(f"'{path}'", found=f"no JSON: {error}") from error
