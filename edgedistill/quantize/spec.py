"""QuantSpec: how a target wants numbers. A value; targets with equal specs share one fine-tuning."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from enum import StrEnum


class ActivationType(StrEnum):
    """Integer type of activations."""

    UINT8 = "uint8"
    INT8 = "int8"


class Symmetry(StrEnum):
    """Whether the zero point is free."""

    ASYMMETRIC = "asymmetric"
    SYMMETRIC = "symmetric"


class Granularity(StrEnum):
    """How many scales a weight has."""

    PER_CHANNEL = "per-channel"
    PER_TENSOR = "per-tensor"


class BiasType(StrEnum):
    """How biases are stored; an int32 bias has scale `input scale * weight scale`."""

    INT32 = "int32"
    FLOAT = "float"
    FP16 = "fp16"  # a float that fp16 represents, so that a half-precision file stores it bit for bit


class ScaleFormat(StrEnum):
    """Which numbers a scale may be."""

    FP32 = "fp32"
    FP16 = "fp16"  # fp16-representable and at least 2^-14, so that Core ML stores it bit for bit
    POWER_OF_TWO = "power-of-two"


class Placement(StrEnum):
    """Which values are rounded to codes."""

    INTEGER = "integer"  # every value that an integer operator reads or writes: kernels from codes to codes
    INPUTS = "inputs"  # values that an integer operator reads: what follows a sum of products is fused to it in float


class Arithmetic(StrEnum):
    """How a program computes."""

    FLOAT = "float"  # float32 on dequantized values, as training saw it
    INTEGER = "integer"  # exact integers and the runtime's requantization rule, as the device computes


@dataclass(frozen=True)
class QuantSpec:
    """How a target wants numbers.

    Weights are int8, symmetric, codes -127 to 127. Symmetric activations use codes -127 to 127 and zero point 0;
    asymmetric ones the whole range of their type.
    """

    activation: ActivationType = ActivationType.UINT8
    symmetry: Symmetry = Symmetry.ASYMMETRIC
    weights: Granularity = Granularity.PER_CHANNEL
    bias: BiasType = BiasType.INT32
    scale_format: ScaleFormat = ScaleFormat.FP16
    placement: Placement = Placement.INTEGER

    @property
    def activation_codes(self) -> tuple[int, int]:
        """Lowest and highest activation code."""
        if self.symmetry is Symmetry.SYMMETRIC:
            return (-127, 127) if self.activation is ActivationType.INT8 else (1, 255)
        return (0, 255) if self.activation is ActivationType.UINT8 else (-128, 127)

    @property
    def title(self) -> str:
        """One line for people, unique among specs: "uint8 asymmetric, per-channel weights, int32 bias, fp16 scales"."""
        placed = "" if self.placement is Placement.INTEGER else f", {self.placement} only"
        numbers = f"{self.activation} {self.symmetry}, {self.weights} weights, {self.bias} bias"
        return f"{numbers}, {self.scale_format} scales{placed}"

    @property
    def arithmetic(self) -> Arithmetic:
        """How the target's runtime computes: with integers from code to code, or in float between rounded values.

        A kernel that sums integers adds an int32 bias; a bias in float says that the runtime computes on dequantized
        values, whatever stands between them.
        """
        integer = self.placement is Placement.INTEGER and self.bias is BiasType.INT32
        return Arithmetic.INTEGER if integer else Arithmetic.FLOAT

    @property
    def values(self) -> dict[str, str]:
        """Every field by name; `placement`, younger than stored programs, only where it is not the default."""
        fields = {name: str(value) for name, value in asdict(self).items()}
        if self.placement is Placement.INTEGER:
            del fields["placement"]
        return fields

    @property
    def key(self) -> str:
        """Short stable name of this value, for folder names and stage keys."""
        text = "|".join(f"{name}={value}" for name, value in sorted(self.values.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
