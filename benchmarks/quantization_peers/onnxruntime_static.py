"""ONNX Runtime's quantize_static: its defaults, or the configuration that its documentation recommends for CPUs."""

from __future__ import annotations

import sys

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from task import task

BATCH = 64


class Reader(CalibrationDataReader):  # type: ignore[misc] # untyped
    """Gives the calibration images."""

    def __init__(self, images: object) -> None:
        self.parts = iter([images[start : start + BATCH] for start in range(0, len(images), BATCH)])  # type: ignore[index,arg-type] # an array

    def get_next(self) -> dict[str, object] | None:
        """Return the next batch."""
        part = next(self.parts, None)
        return None if part is None else {"input": part}


def main() -> None:
    """Quantize."""
    given = task()
    source = given.folder / "student.onnx"
    if sys.argv[2] == "default":
        quantize_static(source, given.into, Reader(given.calibration))
        return
    prepared = given.into.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared))
    quantize_static(
        prepared,
        given.into,
        Reader(given.calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


if __name__ == "__main__":
    main()
