"""From a store to texts to learn from: answers, true classes, vectors, and what cannot be learned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_stores import labelled_chat, opinion_chats, write_store

from edgedistill.capture.completion import Completion, Kind
from edgedistill.capture.store import Entry, Store
from edgedistill.capture.transfer import captured_texts
from edgedistill.errors import DataError
from edgedistill.recipe import Captured

if TYPE_CHECKING:
    from pathlib import Path

EVERY = Captured(gold="gold")


def test_chats_become_texts_with_answers(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", opinion_chats(30))
    found = captured_texts(folder, EVERY, classes=(), labelled=True)
    assert found.classes == ("Bad", "Good")
    assert len(found.rows) == 30
    first = found.rows[1]
    assert first.answer is not None
    assert {name: round(math.exp(value), 3) for name, value in first.answer.items()} == {"Good": 0.9, "Bad": 0.08}
    assert "30 of 30 answers came with log probabilities" in " ".join(found.notes)
    assert "hundreds to thousands are advised" in found.notes[0]


def test_true_classes_come_from_the_metadata(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", opinion_chats(30))
    found = captured_texts(folder, EVERY, classes=("bad", "good"), labelled=True)
    assert [row.label for row in found.rows[:4]] == ["bad", None, None, "good"]
    assert all(row.label is None for row in captured_texts(folder, Captured(), classes=(), labelled=True).rows)
    with pytest.raises(DataError, match=r"metadata 'task': 'opinion'; wanted one of bad, good"):
        captured_texts(folder, Captured(gold="task"), classes=("bad", "good"), labelled=True)


def test_a_filter_chooses(tmp_path: Path) -> None:
    cut = [labelled_chat(900 + number, f"x {number}", "good", finish_reason="length") for number in range(20)]
    folder = write_store(tmp_path / "store", opinion_chats(30) + cut)
    assert len(captured_texts(folder, Captured(), classes=(), labelled=True).rows) == 30
    whole = captured_texts(folder, Captured(finish_reason=None), classes=("bad", "good"), labelled=True)
    assert len(whole.rows) == 50
    with pytest.raises(DataError, match="0 completions"):
        captured_texts(folder, Captured(metadata={"task": "other"}), classes=(), labelled=True)


def test_what_names_no_class_is_left_out_and_said(tmp_path: Path) -> None:
    odd = [labelled_chat(900, "who are you", "I am a language model.", system="Talk.")]
    folder = write_store(tmp_path / "store", opinion_chats(30) + odd)
    found = captured_texts(folder, EVERY, classes=("bad", "good"), labelled=True)
    assert len(found.rows) == 30
    notes = " ".join(found.notes)
    assert "1 of 31 answers named no class" in notes
    assert "2 different system messages" in notes


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", opinion_chats(30))
    before = captured_texts(folder, EVERY, classes=(), labelled=True).fingerprint
    assert captured_texts(folder, EVERY, classes=(), labelled=True).fingerprint == before
    with Store(folder) as store:
        store.set_metadata("chatcmpl-1", {"task": "opinion", "gold": "good"})
    assert captured_texts(folder, EVERY, classes=(), labelled=True).fingerprint != before
    after = captured_texts(folder, Captured(), classes=(), labelled=True).fingerprint
    with Store(folder) as store:
        store.delete(["chatcmpl-1"])
    assert captured_texts(folder, Captured(), classes=(), labelled=True).fingerprint != after


def test_vectors_of_embedding_requests(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    with Store(tmp_path / "store") as store:
        for number, inputs in enumerate((["a", "b", "c"], *([f"text {index}"] for index in range(9)))):
            request = {"model": "embedder", "input": inputs if len(inputs) > 1 else inputs[0]}
            completion = Completion(
                id=f"embd-{number}", kind=Kind.EMBEDDING, created=number, model="embedder", request=request, response={}
            )
            start = 0 if number == 0 else number + 2
            store.add_many([Entry(completion, {"embedding": vectors[start : start + len(inputs)]})])
    found = captured_texts(tmp_path / "store", Captured(), classes=(), labelled=False)
    assert [row.text for row in found.rows[:4]] == ["a", "b", "c", "text 0"]
    stored = np.stack([row.embedding for row in found.rows if row.embedding is not None])
    np.testing.assert_array_equal(stored, vectors)


def test_chats_without_vectors_give_their_texts_alone(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", opinion_chats(12))
    found = captured_texts(folder, Captured(), classes=(), labelled=False)
    assert len(found.rows) == 12
    assert all(row.embedding is None and row.answer is None for row in found.rows)


def test_few_are_refused_and_none_is_named(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", opinion_chats(9))
    with pytest.raises(DataError, match="9 completions to learn from; wanted at least 10"):
        captured_texts(folder, EVERY, classes=(), labelled=True)
    with pytest.raises(DataError, match="no store of captured completions"):
        captured_texts(tmp_path / "none", EVERY, classes=(), labelled=True)
    assert not (tmp_path / "none").exists()
