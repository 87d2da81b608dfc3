"""Records what a predict function is given and what it answers: images, sound, sensors, whatever has arrays."""

from __future__ import annotations

import enum
import functools
import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar, cast

from edgedistill.capture.array_like import Arrays, copied, length_of, outputs_of, separated
from edgedistill.capture.completion import Completion, Kind, checked_metadata, new_id
from edgedistill.capture.policy import Policy
from edgedistill.capture.store import Entry, Store
from edgedistill.capture.writer import Writer
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.capture.writer import Counts

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Output(enum.StrEnum):
    """What the function answers."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    EMBEDDING = "embedding"
    OTHER = "other"


class Samples(enum.Enum):
    """What one call holds."""

    ONE = "one"
    """One sample: the arrays are stored as they are."""
    ALONG_FIRST_AXIS = "along first axis"
    """A batch: each row of every array is a sample, and is stored as one."""


@dataclass(frozen=True)
class _Given:
    """What a call was given, copied before the function could change it.

    Args:
        rows: rows of the batch that are recorded; None: the whole.
        length: of the batch; 0 for one sample.
        samples: arrays of each sample.
        others: what is no array.
        started_s: when the call began.
    """

    rows: Sequence[int] | None
    length: int
    samples: list[Arrays]
    others: Mapping[str, object]
    started_s: float


class Recorder:
    """Stores what passes through a predict function. The function answers as before; if storing fails, it still does.

    ```python
    with Recorder(Path("captured"), model="defects-v3", output=Output.LOGITS) as recorder:
        predict = recorder.wrap(model.predict)
    ```

    Arrays are whatever numpy can read: its own, torch's tensors on any device, Pillow's images, lists of numbers.
    They are copied before the call returns, so that they may be changed afterwards.

    Args:
        store: a store, or the folder of one, which is made where it is missing.
        model: the teacher's name and version.
        output: what the function answers.
        samples: whether a call holds one sample or a batch.
        rate: share of the samples that is stored, 0 < rate <= 1, drawn at random.
        metadata: up to 16 pairs for each sample.
        labels: names of the classes, in the order of the outputs.
        redact: is given each input array and returns what may be kept of it, before anything is written: an image
            with its faces blurred.

    Raises:
        InputError: the rate is out of its range.
        DataError: the metadata is out of its limits, or the folder holds something else.
    """

    def __init__(
        self,
        store: Store | Path,
        *,
        model: str,
        output: Output,
        samples: Samples = Samples.ONE,
        rate: float = 1.0,
        metadata: Mapping[str, str] | None = None,
        labels: Sequence[str] = (),
        redact: Callable[[NDArray[np.generic]], NDArray[np.generic]] | None = None,
    ) -> None:
        self._policy = Policy(rate=rate)
        self._metadata = checked_metadata(metadata)
        self._model, self._output, self._samples, self._labels = model, output, samples, list(labels)
        self._redact = redact
        self._own = Store(store) if isinstance(store, Path) else None
        self._writer = Writer(store if isinstance(store, Store) else cast("Store", self._own))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What became of the samples so far."""
        return self._writer.counts

    def wrap(self, predict: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Return the function with its calls recorded; a coroutine function gives a coroutine function."""
        if inspect.iscoroutinefunction(predict):
            return cast("Callable[Parameters, Result]", self._wrapped_coroutine(predict))

        @functools.wraps(predict)
        def recorded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            given = self._given(args, kwargs)
            answer = predict(*args, **kwargs)
            self._answered(given, answer)
            return answer

        return recorded

    def record(self, inputs: object, outputs: object) -> None:
        """Store one call that was made elsewhere.

        Args:
            inputs: an array, a mapping of arrays, or something that JSON can hold.
            outputs: an array, or a sequence or mapping of arrays.
        """
        self._answered(self._given((inputs,), {}), outputs, is_timed=False)

    def flush(self) -> None:
        """Wait until all that was recorded is on the disk or has failed."""
        self._writer.flush()

    def close(self) -> None:
        """Store what is waiting, and close the store if the recorder opened it."""
        self._writer.close()
        if self._own is not None:
            self._own.close()

    def _wrapped_coroutine(
        self, predict: Callable[Parameters, Awaitable[Result]]
    ) -> Callable[Parameters, Awaitable[Result]]:
        @functools.wraps(predict)
        async def recorded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            given = self._given(args, kwargs)
            answer = await predict(*args, **kwargs)
            self._answered(given, answer)
            return answer

        return recorded

    def _given(self, args: Sequence[object], kwargs: Mapping[str, object]) -> _Given | None:
        """Copy what is recorded of a call's arguments; None if nothing is."""
        try:
            return self._taken(args, kwargs)
        except Exception as error:  # noqa: BLE001 - the function must run whatever it is given
            self._writer.fail(error)
            return None

    def _taken(self, args: Sequence[object], kwargs: Mapping[str, object]) -> _Given | None:
        started_s = time.perf_counter()
        if self._samples is Samples.ONE and not self._policy.wants(store=True):
            return None
        names = ["input"] if len(args) == 1 else [f"input.{place}" for place in range(len(args))]
        named = dict(zip(names, args, strict=True)) | {f"input.{name}": value for name, value in kwargs.items()}
        arrays, others = separated(named)
        if self._samples is Samples.ONE:
            return _Given(None, 0, copied(arrays, None), others, started_s)
        length = length_of(arrays)
        rows = [row for row in range(length) if self._policy.wants(store=True)]
        return _Given(rows, length, copied(arrays, rows), others, started_s)

    def _answered(self, given: _Given | None, answer: object, *, is_timed: bool = True) -> None:
        if given is None or not given.samples:
            return
        latency_ms = 1e3 * (time.perf_counter() - given.started_s) if is_timed else None
        try:
            outputs = outputs_of(answer)
            if given.rows is not None and length_of(outputs) != given.length:
                found = f"{length_of(outputs)} answers to {given.length} samples"
                raise ShapeError("batch", found=found)  # noqa: TRY301 - handled as whatever else is wrong with it
            answers = copied(outputs, given.rows)
        except Exception as error:  # noqa: BLE001 - the function has its answer, and its caller gets it
            self._writer.fail(error)
            return
        self._writer.submit(
            lambda: [
                self._entry(inputs, outputs, given.others, latency_ms=latency_ms)
                for inputs, outputs in zip(given.samples, answers, strict=True)
            ]
        )

    def _entry(
        self, inputs: Arrays, outputs: Arrays, others: Mapping[str, object], *, latency_ms: float | None
    ) -> Entry:
        name = new_id("pred")
        if self._redact is not None:
            inputs = {key: self._redact(array) for key, array in inputs.items()}
        response: dict[str, object] = {
            "id": name,
            "object": "prediction",
            "model": self._model,
            "output": str(self._output),
        }
        if self._labels:
            response["labels"] = self._labels
        completion = Completion(
            id=name,
            kind=Kind.PREDICTION,
            created=int(time.time()),
            model=self._model,
            request={"model": self._model, "input": others.get("input", others or None)},
            response=response,
            metadata=self._metadata,
            latency_ms=latency_ms,
            source=f"recorder:{self._model}",
            redaction="none" if self._redact is None else getattr(self._redact, "__qualname__", "callable"),
        )
        return Entry(completion, {**inputs, **outputs})
