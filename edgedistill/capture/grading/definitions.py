"""The graders' published JSON form, as types.

Source: the OpenAI API reference, "Graders" and "Evals" (openai-python 3.54: `types/graders`, `eval_create_params`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgedistill.errors import InputError


class Part(BaseModel):
    """A part of a definition: frozen, and closed against unknown keys, since a misspelt threshold would be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class InputText(Part):
    """Text in a message."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    """May hold templates."""


class InputImage(Part):
    """An image in a message."""

    type: Literal["input_image"]
    image_url: str
    """May hold templates."""
    detail: Literal["auto", "low", "high"] | None = None
    """How closely the model looks."""


class AudioData(Part):
    """Sound."""

    data: str
    """Base64; may hold templates."""
    format: str
    """"wav", "mp3"."""


class InputAudio(Part):
    """Sound in a message."""

    type: Literal["input_audio"]
    input_audio: AudioData
    """The sound."""


ContentPart = Annotated[InputText | InputImage | InputAudio, Field(discriminator="type")]


class Message(Part):
    """A message to the judging model."""

    role: Literal["system", "developer", "user", "assistant"]
    """Who says it."""
    content: str | ContentPart | tuple[str | ContentPart, ...]
    """May hold templates."""
    type: Literal["message"] | None = None
    """The form's own word."""


class SamplingParams(Part):
    """How the judging model samples."""

    seed: int | None = None
    """Seed."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    """Nucleus sampling."""
    max_completions_tokens: int | None = Field(default=None, ge=1)
    """Longest answer; the published form spells it so."""
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """The same, as the chat completions API spells it."""
    reasoning_effort: str | None = None
    """How long a reasoning model reasons."""


class Grader(Part):
    """What all graders have."""

    name: str = ""
    """Name of the grader; its type without one."""
    id: str | None = None
    """Given by the service to criteria that are read back from it."""

    @property
    def title(self) -> str:
        """Name of the grader, or its type."""
        return self.name or str(getattr(self, "type", "grader"))


class StringCheck(Grader):
    """Compares two texts: 1 or 0."""

    type: Literal["string_check"]
    input: str
    """The text being graded; may hold templates."""
    reference: str
    """What it is compared with; may hold templates."""
    operation: Literal["eq", "ne", "neq", "like", "ilike"]
    """`eq` equals, `ne` (or `neq`) does not, `like` contains the reference, `ilike` so without regard to case."""


class TextSimilarity(Grader):
    """How alike two texts are, from 0 to 1."""

    type: Literal["text_similarity"]
    input: str
    """The text being graded; may hold templates."""
    reference: str
    """What it is compared with; may hold templates."""
    evaluation_metric: Literal[
        "fuzzy_match",
        "bleu",
        "gleu",
        "meteor",
        "cosine",
        "rouge_1",
        "rouge_2",
        "rouge_3",
        "rouge_4",
        "rouge_5",
        "rouge_l",
    ]
    """The measure."""
    pass_threshold: float | None = None
    """Least score that passes."""


class LabelModel(Grader):
    """A model chooses one of some labels."""

    type: Literal["label_model"]
    model: str
    """The judging model."""
    input: tuple[Message, ...] | Message
    """What it is asked; may hold templates."""
    labels: tuple[str, ...] = Field(min_length=1)
    """The labels it may choose."""
    passing_labels: tuple[str, ...]
    """Those that pass."""
    sampling_params: SamplingParams | None = None
    """How it samples."""

    @model_validator(mode="after")
    def _passing_labels_are_labels(self) -> LabelModel:
        unknown = sorted(set(self.passing_labels) - set(self.labels))
        if unknown:
            raise ValueError(f"passing_labels has {', '.join(unknown)}, which labels has not")
        return self


class ScoreModel(Grader):
    """A model gives a number."""

    type: Literal["score_model"]
    model: str
    """The judging model."""
    input: tuple[Message, ...] | Message
    """What it is asked; may hold templates."""
    range: tuple[float, float] = (0.0, 1.0)
    """Least and greatest score; an answer beyond is cut to it."""
    pass_threshold: float | None = None
    """Least score that passes."""
    sampling_params: SamplingParams | None = None
    """How it samples."""

    @model_validator(mode="after")
    def _range_has_an_inside(self) -> ScoreModel:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range is {list(self.range)}; its first number must be the smaller")
        return self


MAX_SOURCE_BYTES = 256 * 1024


class PythonCode(Grader):
    """A function `grade(sample, item)` gives a number."""

    type: Literal["python"]
    source: str
    """Python; defines `grade`."""
    image_tag: str | None = None
    """The service's set of packages; here, those that are installed."""
    pass_threshold: float | None = None
    """Least score that passes."""

    @model_validator(mode="after")
    def _source_is_code(self) -> PythonCode:
        if len(self.source.encode("utf-8", "replace")) >= MAX_SOURCE_BYTES:
            raise ValueError("source has 256 kB or more")
        try:
            compile(self.source, "source", "exec")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"source is no Python: {error}") from error
        return self


Single = Annotated[
    StringCheck | TextSimilarity | LabelModel | ScoreModel | PythonCode,
    Field(discriminator="type"),
]


class Multi(Grader):
    """A formula over the scores of other graders."""

    type: Literal["multi"]
    graders: dict[str, Single] | Single
    """By the names that the formula calls them. A single grader goes by its own name."""
    calculate_output: str
    """The formula: + - * / ^, brackets, min max abs floor ceil exp sqrt log."""
    pass_threshold: float | None = None
    """Least score that passes."""

    @property
    def by_name(self) -> dict[str, StringCheck | TextSimilarity | LabelModel | ScoreModel | PythonCode]:
        """The graders by the names in the formula."""
        return self.graders if isinstance(self.graders, dict) else {self.graders.title: self.graders}


AnyGrader = StringCheck | TextSimilarity | LabelModel | ScoreModel | PythonCode | Multi
TYPES = ("string_check", "text_similarity", "label_model", "score_model", "python", "multi")


class DefinitionError(InputError):
    """A grader's definition cannot be run."""
