"""Export and import: what goes out comes in again, and what others wrote comes in whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgedistill.capture.completion import Kind, chat_completion
from edgedistill.capture.filters import Filter
from edgedistill.capture.formats import importing
from edgedistill.capture.formats.exporting import export_file
from edgedistill.capture.formats.forms import IMPORTED, Form
from edgedistill.capture.formats.importing import Import, Imported, import_files
from edgedistill.capture.recorder import Output, Recorder, Samples
from edgedistill.capture.redaction import redaction_of
from edgedistill.capture.store import Store
from edgedistill.data.preprocessing import ArrayPreprocessing
from edgedistill.data.sources import load
from edgedistill.errors import DataError, InputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedistill.capture.completion import Completion

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chat(number: int, **message: Any) -> Completion:  # noqa: ANN401 - JSON
    messages = [{"role": "system", "content": "label it"}, {"role": "user", "content": f"Text {number}: \u00e4"}]
    request = {"model": "teacher", "messages": messages, "temperature": 0.5}
    said = message or {"content": f" label-{number % 2}\n"}
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", **said},
        "logprobs": {"content": [{"token": "l", "logprob": -0.5, "top_logprobs": []}], "refusal": None},
    }
    response = {"id": f"chatcmpl-{number}", "created": 1_760_000_000 + number, "model": "teacher-2026"}
    usage = {"prompt_tokens": 4, "completion_tokens": 2}
    whole = {**response, "choices": [choice], "usage": usage}
    return chat_completion(request, whole, metadata={"split": "x", "gold": "1"}, latency_ms=1.5, source="http://a/v1")


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[[], Store]]:
    opened: list[Store] = []

    def new() -> Store:
        opened.append(Store(tmp_path / f"store-{len(opened)}"))
        return opened[-1]

    yield new
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """Return a store with chats, one of them with a tool call, one refused, and predictions."""
    store = new_store()
    for number in range(4):
        store.add(chat(number))
    store.add(chat(4, content=None, tool_calls=[CALL]))
    store.add(chat(5, content=None, refusal="no"))
    store.set_grade("chatcmpl-1", "judge", score=0.5, passed=True)
    with Recorder(store, model="m", output=Output.LOGITS, samples=Samples.ALONG_FIRST_AXIS) as recorder:
        recorder.record(np.arange(60, dtype=np.float32).reshape(20, 3), np.eye(4, dtype=np.float32)[np.arange(20) % 4])
    return store


CHATS = Filter(kind=Kind.CHAT)


def exported(store: Store, path: Path, form: Form | None = None) -> tuple[int, int]:
    found = export_file(path, store.iterate(), store=store, form=form)
    return found.written, found.left_out


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_records_come_back_as_they_were(store: Store, new_store: Callable[[], Store], tmp_path: Path) -> None:
    assert exported(store, tmp_path / "all.jsonl") == (26, 0)
    other = new_store()
    assert import_files(other, [tmp_path / "all.jsonl"]) == Imported(26, 0, 0)
    assert list(other.iterate()) == list(store.iterate())
    for completion in store.iterate(Filter(kind=Kind.PREDICTION)):
        found = other.get(completion.id)
        assert found is not None
        for name, hash_ in completion.arrays.items():
            assert (other.array(found.arrays[name]) == store.array(hash_)).all()
    assert import_files(other, [tmp_path / "all.jsonl"]) == Imported(0, 26, 0)


@pytest.mark.parametrize("form", [Form.MESSAGES, Form.LABELS, Form.EVALS, Form.LIST])
def test_the_forms_of_others_come_back(
    store: Store, new_store: Callable[[], Store], tmp_path: Path, form: Form
) -> None:
    written, left_out = exported(store, tmp_path / "file", form)
    # a refusal teaches nothing, and a tool call is no label
    assert (written, left_out) == {
        Form.MESSAGES: (5, 21),
        Form.LABELS: (4, 22),
        Form.EVALS: (5, 21),
        Form.LIST: (6, 20),
    }[form]
    other = new_store()
    assert import_files(other, [tmp_path / "file"]).added == written
    assert import_files(other, [tmp_path / "file"]) == Imported(0, written, 0)
    before, after = ({one.prompt: one for one in one_store.iterate(CHATS)} for one_store in (store, other))
    for prompt, found in after.items():
        known = before[prompt]
        assert (found.answer or "").strip() == (known.answer or "").strip()
        assert found.source == ("import:file")
        if form is not Form.LABELS:
            assert found.messages == known.messages
        if form is not Form.MESSAGES:
            assert found.metadata == known.metadata
        if form in (Form.EVALS, Form.LIST):
            assert found.log_probabilities == known.log_probabilities
            assert found.model == known.model
        if form is Form.LIST:
            assert found.response == known.response
            assert found.request["temperature"] == 0.5
    if form in (Form.MESSAGES, Form.EVALS):
        assert after["Text 4: \u00e4"].response["choices"][0]["message"]["tool_calls"] == [CALL]  # type: ignore[index]


def test_lines_of_a_fine_tuning_file(store: Store, tmp_path: Path) -> None:
    exported(store, tmp_path / "file", Form.MESSAGES)
    first = lines(tmp_path / "file")[0]
    assert list(first) == ["messages"]
    assert [message["role"] for message in first["messages"]] == ["system", "user", "assistant"]
    assert list(first["messages"][-1]) == ["role", "content"]


def test_labels_keep_the_metadata(store: Store, tmp_path: Path) -> None:
    exported(store, tmp_path / "file", Form.LABELS)
    assert lines(tmp_path / "file")[1] == {"text": "Text 1: \u00e4", "label": "label-1", "split": "x", "gold": "1"}


def test_parquet(store: Store, tmp_path: Path) -> None:
    assert exported(store, tmp_path / "all.parquet") == (26, 0)
    table = pq.read_table(tmp_path / "all.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [one.id for one in store.iterate()]
    row = rows[1]
    assert row["prompt"] == "Text 1: \u00e4"
    assert row["answer"] == " label-1\n"
    assert row["created"].timestamp() == 1_760_000_001
    assert row["metadata"] == [("gold", "1"), ("split", "x")]
    assert row["grades"] == [{"grader": "judge", "score": 0.5, "passed": True}]
    assert (row["prompt_tokens"], row["completion_tokens"], row["latency_ms"]) == (4, 2, 1.5)
    assert json.loads(row["request"])["temperature"] == 0.5
    arrays = {array["name"]: array for array in rows[-1]["arrays"]}
    assert arrays["input"]["shape"] == [3]
    assert np.frombuffer(arrays["input"]["data"], arrays["input"]["dtype"]).tolist() == [57.0, 58.0, 59.0]


def test_predictions_become_data_that_a_recipe_reads(store: Store, tmp_path: Path) -> None:
    assert exported(store, tmp_path / "data.npz") == (20, 6)
    with np.load(tmp_path / "data.npz") as archive:
        assert archive["output"].shape == (20, 4)
        assert archive["y"].tolist() == archive["output"].argmax(1).tolist()
    train, test = (
        load("npz:data.npz", split, ArrayPreprocessing(shape=(3,)), (), tmp_path) for split in ("train", "test")
    )
    assert len(train.raw) + len(test.raw) == 20
    assert len(train.raw) > len(test.raw) > 0
    assert {(int(x[0]) // 3 % 4) == y for x, y in zip(train.raw, train.labels, strict=True)} == {True}


def test_predictions_of_several_shapes_are_refused(store: Store, tmp_path: Path) -> None:
    with Recorder(store, model="m", output=Output.LOGITS) as recorder:
        recorder.record(np.zeros(7), np.zeros(4))
    with pytest.raises(DataError, match=r"shapes .* of 'input'"):
        exported(store, tmp_path / "data.npz")
    with pytest.raises(DataError, match="predictions: none"):
        export_file(tmp_path / "data.npz", [], store=store)
    assert not list(tmp_path.glob("*npz*"))


def test_a_suffix_that_tells_no_form(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--as"):
        exported(store, tmp_path / "all.txt")


def test_what_cannot_be_written_leaves_what_was_there(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text("mine\n")

    def breaking() -> Iterator[Completion]:
        yield chat(1)
        raise DataError("a", found="b")

    with pytest.raises(DataError):
        export_file(path, breaking(), store=store)
    assert path.read_text() == "mine\n"
    assert list(tmp_path.glob(".*")) == []


# --- what others wrote


ASKED = {"role": "user", "content": "a"}
PREDICTION = '{"id": "a", "kind": "prediction", "created": 1, "request": {}, "response": {}'


def written(path: Path, *values: object) -> Path:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), "utf-8")
    return path


def test_a_list_and_its_messages_in_files_of_their_own(new_store: Callable[[], Store], tmp_path: Path) -> None:
    # as the API answers them: the list has no messages
    listed = {
        "object": "list",
        "data": [
            {
                "id": "chatcmpl-ab-c",
                "object": "chat.completion",
                "created": 5,
                "model": "gpt",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
                "metadata": {"k": "v"},
                "temperature": 1.0,
                "tools": None,
                "request_id": "req",
            }
        ],
        "has_more": False,
    }
    parts = [{"type": "text", "text": "really?"}]
    sent = {
        "object": "list",
        "data": [
            {"id": "chatcmpl-ab-c-0", "role": "system", "content": "say yes", "name": None},
            {"id": "chatcmpl-ab-c-1", "role": "user", "content": "really?", "content_parts": parts},
        ],
    }
    store = new_store()
    completions, messages = written(tmp_path / "a.json", listed), written(tmp_path / "b.json", sent)
    assert import_files(store, [completions, messages]) == Imported(1, 0, 0)
    found = store.get("chatcmpl-ab-c")
    assert found is not None
    assert found.messages == [{"role": "system", "content": "say yes"}, {"role": "user", "content": parts}]
    assert found.request == {"model": "gpt", "temperature": 1.0, "messages": found.messages}
    assert (found.metadata, found.created, found.prompt) == ({"k": "v"}, 5, "really?")
    assert import_files(new_store(), [completions]) == Imported(1, 0, 1)


def test_pages_of_a_list_in_one_document(new_store: Callable[[], Store], tmp_path: Path) -> None:
    pages = [{"object": "list", "data": [{"id": f"a{n}", "choices": [{"index": 0}]}]} for n in range(3)]
    path = tmp_path / "pages.json"
    path.write_text(json.dumps(pages, indent=2), "utf-8")
    assert import_files(new_store(), [path]).added == 3


@pytest.mark.parametrize(
    ("line", "prompt", "answer", "metadata"),
    [
        ({"text": "a", "label": "b"}, "a", "b", {}),
        ({"text": "a", "label": 3, "n": 1.5, "long": "x" * 600, "list": []}, "a", "3", {"n": "1.5"}),
        ({"text": "a", "label": True}, "a", "true", {}),
        ({"item": {"text": "a", "gold": "g"}, "sample": "b"}, "a", "b", {"gold": "g"}),
        ({"item": {"prompt": "a"}, "sample": {"output_text": "b"}}, "a", "b", {}),
        ({"item": {}, "sample": {"input": [ASKED], "output": [{"content": "b"}]}}, "a", "b", {}),
        ({"datasource_item": {"question": "a"}, "sample": {"choices": [{"message": {"content": "b"}}]}}, "a", "b", {}),
        ({"messages": [ASKED, {"role": "assistant", "content": "b"}]}, "a", "b", {}),
    ],
)
def test_lines_of_others(
    new_store: Callable[[], Store], tmp_path: Path, line: object, prompt: str, answer: str, metadata: dict[str, str]
) -> None:
    store = new_store()
    how = Import(metadata={"from": "file"}, model="who")
    assert import_files(store, [written(tmp_path / "a.jsonl", line, line)], how) == Imported(1, 1, 0)
    (found,) = store.iterate()
    assert (found.prompt, found.answer, found.model) == (prompt, answer, "who")
    assert found.metadata == {"from": "file", **metadata}
    assert found.source == "import:a.jsonl"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "no JSON object"),
        ('{"text": "a"}', "an object with the keys text"),
        ('{"text": 1, "label": "a"}', "text int"),
        ('{"text": "a", "label": null}', "label NoneType"),
        ('{"messages": []}', "end with one of the assistant's"),
        ('{"messages": [{"role": "user"}, {"role": "user"}]}', "end with one of the assistant's"),
        ('{"item": {}, "sample": "a"}', "nothing asked"),
        ('{"item": {"text": "a"}}', "nothing answered"),
        ('{"id": "a/b", "kind": "chat", "request": {}, "response": {}}', "id 'a/b'"),
        ('{"id": "a", "kind": "audio", "request": {}, "response": {}}', "kind 'audio'"),
        ('{"id": "a", "kind": "chat", "created": -1, "request": {}, "response": {}}', "no time"),
        ('{"id": "a", "kind": "chat", "created": 1, "request": {}, "response": {}}', "no choices"),
        (f'{PREDICTION}, "arrays": {{"x": "AAAA"}}}}', "cannot be read"),
        (f'{PREDICTION}, "grades": {{"g": 1}}}}', "grade 1"),
        (f'{PREDICTION}, "metadata": {{"g": 1}}}}', "metadata value"),
        ("{", "no JSON object"),
    ],
)
def test_one_wrong_line_and_nothing_is_imported(
    new_store: Callable[[], Store], tmp_path: Path, line: str, message: str
) -> None:
    store = new_store()
    good = written(tmp_path / "good.jsonl", {"text": "a", "label": "b"})
    bad = tmp_path / "bad.jsonl"
    bad.write_text(f'{{"text": "c", "label": "d"}}\n\n{line}\n', "utf-8")
    with pytest.raises(DataError, match=message) as caught:
        import_files(store, [good, bad])
    assert "bad.jsonl', line 3" in str(caught.value)
    assert store.count() == 0


@pytest.mark.parametrize("text", ["", "no json", "[]", "[1]", '{\n"object": "list"\n}', "{}\n{}", "\x00"])
def test_files_that_hold_nothing(new_store: Callable[[], Store], tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        import_files(new_store(), [tmp_path / "a.json"])


@pytest.mark.parametrize("item", [1, {"id": "a"}, {"choices": []}, {"choices": [{"index": 0}], "metadata": {"a": 1}}])
def test_items_of_a_list_that_are_no_completions(new_store: Callable[[], Store], tmp_path: Path, item: object) -> None:
    path = written(tmp_path / "a.json", {"object": "list", "data": [{"choices": [{"index": 0}]}, item]})
    with pytest.raises(DataError, match=r"data\[1\]"):
        import_files(new_store(), [path])


def test_files_that_are_not_there(new_store: Callable[[], Store], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        import_files(new_store(), [tmp_path / "absent.jsonl"])
    with pytest.raises(DataError, match="Is a directory"):
        import_files(new_store(), [tmp_path])


def test_lines_and_documents_that_are_too_long(
    new_store: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MAX_LINE", 50)
    with pytest.raises(ResourceError, match="line 1: more than 50 bytes"):
        import_files(new_store(), [written(tmp_path / "a.jsonl", {"text": "x" * 100, "label": "a"})])
    monkeypatch.setattr(importing, "MAX_DOCUMENT", 10)
    with pytest.raises(ResourceError, match="at most 10"):
        import_files(new_store(), [written(tmp_path / "a.json", {"object": "list", "data": []})])


def test_what_is_imported_is_redacted_first(new_store: Callable[[], Store], tmp_path: Path) -> None:
    store = new_store()
    path = written(tmp_path / "a.jsonl", {"text": "I am a@b.de", "label": "a@b.de", "who": "a@b.de"})
    import_files(store, [path], Import(redaction=redaction_of(["email"])))
    (found,) = store.iterate()
    assert (found.prompt, found.answer) == ("I am [redacted:email]", "[redacted:email]")
    assert found.metadata == {"who": "[redacted:email]"}
    assert len(found.redaction) == 12
    assert not any(b"a@b.de" in file.read_bytes() for file in store.folder.rglob("*") if file.is_file())


def test_many_are_imported_in_batches(
    new_store: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 7)
    values = [{"text": f"{number}", "label": "a"} for number in range(50)]
    assert import_files(new_store(), [written(tmp_path / "a.jsonl", *values)]).added == 50


def test_a_byte_order_mark_is_no_error(new_store: Callable[[], Store], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a", "label": "b"}\r\n')
    assert import_files(new_store(), [tmp_path / "a.jsonl"]).added == 1


def test_every_form_that_is_imported_is_read() -> None:
    assert set(IMPORTED) == set(Form) - {Form.PARQUET, Form.NPZ}
    assert replace(Import(), form=Form.LIST).form is Form.LIST
