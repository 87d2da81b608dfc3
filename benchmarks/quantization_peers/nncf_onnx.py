"""NNCF's post-training quantization of the ONNX file."""

from __future__ import annotations

import nncf
import onnx
from task import task


def main() -> None:
    """Quantize."""
    given = task()
    images = [{"input": given.calibration[index : index + 1]} for index in range(len(given.calibration))]
    model = onnx.load(given.folder / "student.onnx")
    quantized = nncf.quantize(
        model,
        nncf.Dataset(images),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
    )
    onnx.save(quantized, given.into)


if __name__ == "__main__":
    main()
