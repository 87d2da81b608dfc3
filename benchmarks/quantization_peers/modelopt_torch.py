"""NVIDIA Model Optimizer: INT8 of the torch model, exported to ONNX."""

from __future__ import annotations

import modelopt.torch.quantization as mtq
import torch
from task import simulate, task


def main() -> None:
    """Quantize."""
    given = task()
    calibration = torch.from_numpy(given.calibration)

    def forward(model: torch.nn.Module) -> None:
        with torch.no_grad():
            for part in calibration.split(64):
                model(part)

    model = mtq.quantize(given.student(), mtq.INT8_DEFAULT_CFG, forward)
    simulate(model, given)
    torch.onnx.export(
        model,
        (calibration[:2],),
        str(given.into),
        dynamo=False,
        opset_version=18,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
    )


if __name__ == "__main__":
    main()
