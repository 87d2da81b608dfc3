"""What is done to a raw sample before the model sees it, as a value that the artifact carries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, le=1e6)]

MIN_WINDOW, MAX_WINDOW = 16, 4096
"""Samples of a frame; a longer one would leave the transform too few exact digits."""


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


class AudioPreprocessing(BaseModel):
    """Mel-band levels of a sound in dB over time, or their cepstrum (MFCC), normalised: `(x - mean) / std`.

    The arithmetic is `sound.py`, the same file here and on the device; the model sees (1, frames, features).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["audio"] = "audio"
    """Sounds: int16, one channel."""
    sample_rate: int = Field(default=16_000, ge=4_000, le=48_000)
    """Samples per second; the device has to record with it."""
    seconds: float = Field(default=1.0, ge=0.05, le=60)
    """Length of one sound."""
    window_ms: float = Field(default=32.0, ge=2, le=200)
    """Length of one frame (periodic Hann window); an even, whole number of samples."""
    hop_ms: float = Field(default=20.0, ge=1, le=200)
    """From one frame to the next; a whole number of samples."""
    bands: int = Field(default=40, ge=4, le=256)
    """Triangles of equal width on the mel scale."""
    low_hz: float = Field(default=20.0, ge=0)
    """Lower edge of the first band."""
    high_hz: float = Field(default=7600.0, gt=0)
    """Upper edge of the last band, at most half the sample rate."""
    floor_db: float = Field(default=-100.0, ge=-200, le=-20)
    """Lowest level of a band; the loudest sine wave has about 0 dB."""
    cepstra: int = Field(default=0, ge=0, le=256)
    """0: band levels. Else so many coefficients of their cosine transform (DCT-II), the first one included."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted; one value, or one per feature."""
    std: tuple[Positive, ...] = (1.0,)
    """Divides after subtracting; one value, or one per feature."""

    @model_validator(mode="after")
    def _whole_frames(self) -> AudioPreprocessing:
        for name, count in (("seconds", self.seconds), ("window_ms", self.window_ms / 1000)):
            _require_whole(name, count * self.sample_rate)
        _require_whole("hop_ms", self.hop_ms / 1000 * self.sample_rate)
        samples, window = round(self.seconds * self.sample_rate), round(self.window_ms / 1000 * self.sample_rate)
        if window % 2 or not MIN_WINDOW <= window <= MAX_WINDOW:
            raise ValueError(f"window_ms is {window} samples; wanted an even number from {MIN_WINDOW} to {MAX_WINDOW}")
        if window > samples:
            raise ValueError(f"window_ms is {window} samples, and seconds {samples}; wanted a window within the sound")
        return self

    @model_validator(mode="after")
    def _bands_in_the_spectrum(self) -> AudioPreprocessing:
        if not self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError(f"low_hz {self.low_hz:g}, high_hz {self.high_hz:g}; wanted low < high <= sample_rate / 2")
        if self.cepstra > self.bands:
            raise ValueError(f"cepstra is {self.cepstra}; wanted at most as many as bands, {self.bands}")
        return self

    @model_validator(mode="after")
    def _one_value_or_one_per_feature(self) -> AudioPreprocessing:
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if count not in (1, self.input_shape[-1]):
                raise ValueError(f"{name} has {count} values; wanted 1 or {self.input_shape[-1]}")
        return self

    @property
    def input_dtype(self) -> Literal["float32"]:
        """Type of a model input's numbers."""
        return "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input: (1, frames, features)."""
        window, hop = (round(length / 1000 * self.sample_rate) for length in (self.window_ms, self.hop_ms))
        return (1, 1 + (self.raw_shape[0] - window) // hop, self.cepstra or self.bands)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one raw sample: (samples,)."""
        return (round(self.seconds * self.sample_rate),)


def _require_whole(name: str, samples: float) -> None:
    if abs(samples - round(samples)) > 1e-6:  # noqa: PLR2004 - a product of decimal fractions
        raise ValueError(f"{name} is {samples:g} samples; wanted a whole number")


NumericPreprocessing = ImagePreprocessing | ArrayPreprocessing | AudioPreprocessing
Preprocessing = NumericPreprocessing | TextPreprocessing
