"""Brevitas: graph quantization of the torch model, calibrated, exported as QCDQ."""

from __future__ import annotations

import torch
from brevitas.export import export_onnx_qcdq
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.quantize import preprocess_for_quantize, quantize
from task import simulate, task


def main() -> None:
    """Quantize."""
    given = task()
    calibration = torch.from_numpy(given.calibration)
    prepared = preprocess_for_quantize(given.student(), equalize_iters=0, trace_model=True)
    model = quantize(prepared)
    model.eval()
    with torch.no_grad():
        with calibration_mode(model):
            for part in calibration.split(64):
                model(part)
        with bias_correction_mode(model):
            for part in calibration.split(64):
                model(part)
    simulate(model, given)
    export_onnx_qcdq(
        model,
        args=calibration[:2],
        export_path=str(given.into),
        opset_version=18,
        dynamo=False,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
    )


if __name__ == "__main__":
    main()
