"""Recording a predict function."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgedistill.capture.completion import Kind
from edgedistill.capture.recorder import Output, Recorder, Samples
from edgedistill.capture.store import Store
from edgedistill.capture.writer import Counts
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def recorded(store: Store, recorder: Recorder) -> list[dict[str, NDArray[Any]]]:
    """Return the arrays of each stored sample, in the order of storing."""
    recorder.flush()
    return [{name: store.array(hash_) for name, hash_ in completion.arrays.items()} for completion in store.iterate()]


def test_a_function_answers_as_before_and_is_recorded(store: Store) -> None:
    def predict(x: NDArray[Any], *, scale: float = 1.0) -> NDArray[Any]:
        """Say what it does."""
        return x[:, :2] * scale

    with Recorder(store, model="m-1", output=Output.LOGITS, metadata={"site": "a"}, labels=["good", "bad"]) as recorder:
        wrapped = recorder.wrap(predict)
        assert wrapped.__name__ == "predict"
        assert wrapped.__doc__ == "Say what it does."
        assert (wrapped(X, scale=2.0) == X[:, :2] * 2).all()
        (arrays,) = recorded(store, recorder)
        assert recorder.counts == Counts(stored=1)
    assert (arrays["input"] == X).all()
    assert arrays["input"].dtype == np.float32
    assert (arrays["output"] == X[:, :2] * 2).all()
    (completion,) = store.iterate()
    assert completion.kind is Kind.PREDICTION
    assert completion.metadata == {"site": "a"}
    assert completion.source == "recorder:m-1"
    assert completion.request == {"model": "m-1", "input": {"input.scale": 2.0}}
    assert completion.response["output"] == "logits"
    assert completion.response["labels"] == ["good", "bad"]
    assert completion.latency_ms is not None


def test_it_opens_a_folder_itself(tmp_path: Path) -> None:
    with Recorder(tmp_path / "new", model="m", output=Output.OTHER) as recorder:
        recorder.record(X, X)
    with Store(tmp_path / "new") as store:
        assert store.count() == 1


def test_a_batch_is_stored_sample_by_sample(store: Store) -> None:
    with Recorder(store, model="m", output=Output.PROBABILITIES, samples=Samples.ALONG_FIRST_AXIS) as recorder:
        recorder.wrap(lambda x: x / 12)(X)
        arrays = recorded(store, recorder)
    assert [one["input"].tolist() for one in arrays] == X.tolist()
    assert [one["output"].tolist() for one in arrays] == (X / 12).tolist()


def test_what_changes_afterwards_is_stored_as_it_was(store: Store) -> None:
    answer = np.zeros(2)

    def predict(x: NDArray[Any]) -> NDArray[Any]:
        x += 100  # as some do, to save memory
        return answer

    with Recorder(store, model="m", output=Output.LOGITS) as recorder:
        recorder.wrap(predict)(X.copy())
        answer += 7
        (arrays,) = recorded(store, recorder)
    assert (arrays["input"] == X).all()
    assert (arrays["output"] == 0).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.arange(3), np.arange(3)),
        (torch.ones(2, requires_grad=True), np.ones(2, np.float32)),
        (torch.tensor([1.5, 2.0], dtype=torch.bfloat16), np.array([1.5, 2.0], np.float32)),
        (Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)), np.arange(6, dtype=np.uint8).reshape(2, 3)),
        ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        (np.float64(2.5), np.array(2.5)),
    ],
)
def test_arrays_of_all_kinds(store: Store, given: object, expected: NDArray[Any]) -> None:
    with Recorder(store, model="m", output=Output.EMBEDDING) as recorder:
        recorder.record(given, given)
        (arrays,) = recorded(store, recorder)
    for name in ("input", "output"):
        assert arrays[name].dtype == expected.dtype
        assert (arrays[name] == expected).all()


def test_several_inputs_and_outputs_are_named(store: Store) -> None:
    with Recorder(store, model="m", output=Output.OTHER) as recorder:
        recorder.wrap(lambda *given: given[:2])(X, [X + 1], {"d": X + 2})
        recorder.wrap(lambda *, image: {"logits": image, "name": "n"})(image=X)
        first, second = recorded(store, recorder)
    assert sorted(first) == ["input.0", "input.1.0", "input.2.d", "output.0", "output.1.0"]
    assert sorted(second) == ["input.image", "output.logits"]


def test_text_is_kept_as_text(store: Store) -> None:
    with Recorder(store, model="m", output=Output.PROBABILITIES) as recorder:
        recorder.wrap(lambda _: [0.25, 0.75])("it is good")
        recorder.flush()
    (completion,) = store.iterate()
    assert completion.prompt == "it is good"
    assert store.array(completion.arrays["output"]).tolist() == [0.25, 0.75]


def test_a_share_of_the_samples(store: Store) -> None:
    with Recorder(store, model="m", output=Output.OTHER, samples=Samples.ALONG_FIRST_AXIS, rate=0.25) as recorder:
        recorder.wrap(lambda x: x)(np.arange(2000))
        arrays = recorded(store, recorder)
    assert 350 < len(arrays) < 650  # 7 standard deviations
    assert all((one["input"] == one["output"]).all() for one in arrays)


def test_inputs_are_redacted_before_they_are_written(store: Store) -> None:
    def blur(image: NDArray[Any]) -> NDArray[Any]:
        return image * 0

    with Recorder(store, model="m", output=Output.OTHER, redact=blur) as recorder:
        recorder.wrap(lambda x: x)(X)
        (arrays,) = recorded(store, recorder)
    assert (arrays["input"] == 0).all()
    assert (arrays["output"] == X).all()
    assert next(store.iterate()).redaction.endswith("blur")


def test_a_coroutine_function(store: Store) -> None:
    async def predict(x: NDArray[Any]) -> NDArray[Any]:
        await asyncio.sleep(0)
        return x

    with Recorder(store, model="m", output=Output.OTHER) as recorder:
        assert (asyncio.run(recorder.wrap(predict)(X)) == X).all()
        assert len(recorded(store, recorder)) == 1


def test_an_exception_of_the_function_s_own_passes(store: Store) -> None:
    def predict(_: object) -> None:
        raise KeyError

    with Recorder(store, model="m", output=Output.OTHER) as recorder:
        with pytest.raises(KeyError):
            recorder.wrap(predict)(X)
        assert recorded(store, recorder) == []


class Hostile:
    """Something whose conversion fails."""

    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[Any]:
        raise RuntimeError


@pytest.mark.parametrize(
    ("samples", "given", "answer"),
    [
        (Samples.ONE, Hostile(), X),
        (Samples.ONE, X, Hostile()),
        (Samples.ONE, X, None),
        (Samples.ONE, X, "text"),
        (Samples.ALONG_FIRST_AXIS, np.array(1.0), X),
        (Samples.ALONG_FIRST_AXIS, "text", X),
        (Samples.ALONG_FIRST_AXIS, X, X[:2]),
        (Samples.ONE, object(), X),
    ],
)
def test_whatever_cannot_be_recorded_the_function_answers(
    store: Store, samples: Samples, given: object, answer: object
) -> None:
    with Recorder(store, model="m", output=Output.OTHER, samples=samples) as recorder:
        assert recorder.wrap(lambda _: answer)(given) is answer
        assert recorded(store, recorder) == []
        assert recorder.counts == Counts(failed=1)


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sampling rate"):
        Recorder(tmp_path / "a", model="m", output=Output.OTHER, rate=2)
    assert not (tmp_path / "a").exists()
