"""torchao's PT2E: static quantization of the exported program, exported to ONNX."""

from __future__ import annotations

import torch
import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
from task import simulate, task
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e


def main() -> None:
    """Quantize."""
    given = task()
    calibration = torch.from_numpy(given.calibration)
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(given.student(), (calibration[:2],), dynamic_shapes=dynamic)
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        for part in calibration.split(64):
            prepared(part)
    model = convert_pt2e(prepared)
    simulate(model, given)
    exported = torch.export.export(model, (calibration[:2],), dynamic_shapes=dynamic)
    torch.onnx.export(
        exported, (), str(given.into), dynamo=True, input_names=["input"], output_names=["logits"], external_data=False
    )


if __name__ == "__main__":
    main()
