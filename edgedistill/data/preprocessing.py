"""What is done to a raw sample before the model sees it, as a value that the artifact carries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, le=1e6)]


class ImagePreprocessing(BaseModel):
    """Resize, scale and normalise an image: `(pixel * scale - mean) / std`, height x width x channels to CHW.

    The arithmetic is `arrays.preprocess_images`, in float32, the same file here and on the device.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["image"] = "image"
    """Images: uint8, height x width x channels."""
    size: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]]
    """Height and width in pixels that the model wants; other sizes are resized (antialiased bilinear)."""
    channels: Literal[1, 3] = 3
    """1 for grey, 3 for red, green, blue."""
    scale: Positive = 1 / 255
    """Factor applied to the pixel value 0 to 255."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted after scaling; one value, or one per channel."""
    std: tuple[Positive, ...] = (1.0,)
    """Divides after subtracting; one value, or one per channel."""

    @model_validator(mode="after")
    def _one_value_or_one_per_channel(self) -> ImagePreprocessing:
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if count not in (1, self.channels):
                raise ValueError(f"{name} has {count} values; wanted 1 or {self.channels}")
        return self

    @property
    def input_dtype(self) -> Literal["float32"]:
        """Type of a model input's numbers."""
        return "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input: (channels, height, width)."""
        return (self.channels, *self.size)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one raw sample at the model's size: (height, width, channels)."""
        return (*self.size, self.channels)


class ArrayPreprocessing(BaseModel):
    """Normalise an array (sensor window, feature matrix): `(x * scale - mean) / std` along the last axis."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["array"] = "array"
    """Arrays: float32 of a fixed shape."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=5)
    """Shape of one sample, without the batch."""
    scale: Positive = 1.0
    """Factor applied first."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted after scaling; one value, or one per element of the last axis."""
    std: tuple[Positive, ...] = (1.0,)
    """Divides after subtracting; one value, or one per element of the last axis."""

    @model_validator(mode="after")
    def _one_value_or_one_per_element(self) -> ArrayPreprocessing:
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if count not in (1, self.shape[-1]):
                raise ValueError(f"{name} has {count} values; wanted 1 or {self.shape[-1]}")
        return self

    @property
    def input_dtype(self) -> Literal["float32"]:
        """Type of a model input's numbers."""
        return "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input: the sample's own."""
        return self.shape

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one raw sample: the same."""
        return self.shape


class TextPreprocessing(BaseModel):
    """Cut a text into tokens, and number them: (max_length,) int32, filled with the padding token.

    The arithmetic is `tokens.py`, the same file here and on the device; the tokenizer travels with the artifact.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["text"] = "text"
    """Texts."""
    tokenizer: str
    """Path of a `tokenizer.json`, as Hugging Face folders have it."""
    max_length: int = Field(default=64, ge=4, le=4096)
    """Tokens of one text, special ones included; what is behind them is cut off."""
    max_characters: int = Field(default=2000, ge=1, le=1_000_000)
    """Characters of one text that are looked at."""
    vocabulary: int | None = Field(default=None, ge=100, le=10_000_000)
    """Keep only so many tokens: the most frequent ones of the training texts (WordPiece tokenizers); none: all."""

    @property
    def input_dtype(self) -> Literal["int32"]:
        """Type of a model input's numbers."""
        return "int32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input: (max_length,)."""
        return (self.max_length,)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one raw sample: a text is one value."""
        return ()


NumericPreprocessing = ImagePreprocessing | ArrayPreprocessing
Preprocessing = NumericPreprocessing | TextPreprocessing
