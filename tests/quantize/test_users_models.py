"""Models as users bring them, small: captured, quantized, exported, and computed by ONNX Runtime with integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
from small_models import program_of
from torch import nn
from zoo import Entry, sequences, settled, vision

from edgedistill.evaluate.integer_share import integer_share
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.quantize.spec import Arithmetic

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {
    "resnet18": (Entry(lambda: vision.ResNet18(classes=5, width=8), (3, 32, 32)), 1.0),
    "mobilenet_v2": (Entry(lambda: vision.MobileNetV2(classes=5, width=0.25), (3, 32, 32)), 1.0),
    "mobilenet_v3": (Entry(lambda: vision.MobileNetV3(classes=5), (3, 32, 32)), 1.0),
    "shufflenet_v2": (Entry(lambda: vision.ShuffleNetV2(classes=5, widths=(8, 16, 24, 32, 40)), (3, 64, 64)), 1.0),
    "unet": (Entry(lambda: vision.UNet(width=4), (3, 16, 16)), 1.0),
    "ds_cnn": (Entry(lambda: sequences.KeywordNet(width=8), (1, 49, 10)), 1.0),
    "tcn": (Entry(lambda: sequences.TemporalNet(width=8), (6, 32)), 1.0),
    "vit": (
        Entry(
            lambda: sequences.VisionTransformer(side=32, patch=8, classes=5, width=32, depth=2, heads=2), (3, 32, 32)
        ),
        1.0,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_multiplication_is_of_integers_and_the_results_agree(name: str, tmp_path: Path) -> None:
    entry, wanted_share = MODELS[name]
    torch.manual_seed(0)
    model = settled(entry.make(), entry)
    inputs = torch.randn(16, *entry.shape, generator=torch.Generator().manual_seed(2))
    program = program_of(model, inputs)
    path = tmp_path / "model.onnx"
    onnx_from_program(program, path)
    share = integer_share(path, inputs[:1].numpy())
    assert share.fraction >= wanted_share, [item.node for item in share.floats]
    simulated = program.run(inputs.numpy(), arithmetic=Arithmetic.FLOAT)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    computed = session.run(None, {"input": inputs.numpy()})[0]
    scale = np.abs(simulated).max()
    assert np.abs(computed - simulated).max() < 0.05 * scale
    with torch.no_grad():
        original = model(inputs).numpy()
    noise = np.square(original - simulated).mean()
    assert noise < np.square(original).mean() / 2, "random weights make any model noisy; a misplaced scale, useless"


def test_a_model_with_a_buffer_mask_and_token_ids_is_quantized(tmp_path: Path) -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 16)
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
            self.head = nn.Linear(16, 3)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            hidden = self.table(tokens)
            mixed, _ = self.attention(hidden, hidden, hidden, key_padding_mask=tokens == 0, need_weights=False)
            return self.head((hidden + mixed).mean(1))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    tokens = torch.randint(1, 50, (8, 12))
    tokens[:, 9:] = 0
    program = program_of(Encoder().eval(), tokens)
    assert any(tensor.codes is not None and tensor.codes.shape == (50, 16) for tensor in program.tensors().values())
    path = tmp_path / "encoder.onnx"
    onnx_from_program(program, path)
    assert integer_share(path, tokens[:1].numpy()).fraction == 1.0
    computed = onnxruntime.InferenceSession(str(path)).run(None, {"input": tokens.numpy()})[0]
    assert np.abs(computed - program.run(tokens.numpy(), arithmetic=Arithmetic.FLOAT)).max() < 0.05
