"""What the teacher is asked to label: the user's rows, as chat messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedistill.capture.completion import Kind, evened
from edgedistill.capture.json_text import canonical, list_at, text_at
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedistill.capture.filters import Filter
    from edgedistill.capture.json_text import Json
    from edgedistill.capture.store import Store
    from edgedistill.capture.synthesis.task import Task

_HASH_RANGE = 2**32


@dataclass(frozen=True)
class Prompt:
    """One thing to label.

    Args:
        messages: what the student will be asked.
        gold: the answer that the row already had; None where it had none.
        item: the row.
    """

    messages: tuple[Json, ...]
    gold: str | None = None
    item: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What two prompts share that ask the same, whatever case and space it is written in."""
        asked = [[message.get("role"), _plain(message.get("content"))] for message in self.messages]
        return hashlib.sha256(canonical(asked)).hexdigest()[:32]

    @property
    def share(self) -> float:
        """A number from 0 to 1 that depends on what is asked alone: splits by it leak nothing."""
        return int(self.id[:8], 16) / _HASH_RANGE


@dataclass(frozen=True)
class Sets:
    """A training and a validation set, without duplicates, and with nothing in both.

    Args:
        train: prompts to learn from.
        validation: prompts to check with.
        duplicates: rows that asked what another row of their set asks.
        leaks: rows of the training set that the validation set asks as well; they stay in the latter.
    """

    train: tuple[Prompt, ...]
    validation: tuple[Prompt, ...]
    duplicates: int = 0
    leaks: int = 0


def prompts_from_rows(rows: Sequence[Json], *, task: Task | None, thing: str) -> list[Prompt]:
    """Return the prompts in some rows.

    A row is a fine-tuning line (`messages`; a last message of the assistant is its gold answer); or has the fields of
    the task (`text`, `premise` and `hypothesis`, ...; `label` or `answer` is its gold answer); or has a `prompt` or
    `text` alone; or wraps one of these as `item`.

    Args:
        rows: JSON objects.
        task: what they are for; None: they are asked as they are.
        thing: where they come from, for messages.

    Raises:
        DataError: a row is none of these.
    """
    return [_prompt(row, task, f"{thing}, row {number}") for number, row in enumerate(rows, start=1)]


def prompts_from_store(store: Store, chosen: Filter, *, task: Task | None) -> list[Prompt]:
    """Return what was asked in the chat completions that meet a filter; what was answered is their gold answer."""
    prompts = []
    for completion in store.iterate(chosen):
        if completion.kind is Kind.CHAT and completion.messages:
            answer: Json = {"role": "assistant", "content": completion.answer}
            row: Json = {"messages": [*completion.messages, answer]}
            prompt = _from_messages(row, task, f"completion '{completion.id}'")
            prompts.append(Prompt(prompt.messages, prompt.gold, {"metadata": dict(completion.metadata)}))
    return prompts


def split_sets(train: Sequence[Prompt], validation: Sequence[Prompt] | None, *, share: float) -> Sets:
    """Return two sets without duplicates and leaks.

    Args:
        train: prompts, in their order.
        validation: prompts; None takes a share of `train`.
        share: of the prompts that go into the validation set, by what they ask.
    """
    given = list(train) + list(validation or ())
    if validation is None:
        first, second = [p for p in train if p.share >= share], [p for p in train if p.share < share]
    else:
        first, second = list(train), list(validation)
    kept_second = _unique(second)
    taken = {prompt.id for prompt in kept_second}
    unique_first = _unique(first)
    kept_first = [prompt for prompt in unique_first if prompt.id not in taken]
    leaks = len(unique_first) - len(kept_first)
    duplicates = len(given) - leaks - len(kept_first) - len(kept_second)
    return Sets(tuple(kept_first), tuple(kept_second), duplicates=duplicates, leaks=leaks)


def _unique(prompts: Iterable[Prompt]) -> list[Prompt]:
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.id, prompt)
    return list(first.values())


def _prompt(row: Json, task: Task | None, thing: str) -> Prompt:
    item = row.get("item")
    inner = item if isinstance(item, dict) and "messages" not in row else row
    if "messages" in inner:
        return _from_messages(inner, task, thing)
    if task is not None and task.texts["student.user"]:
        return _from_fields(inner, task, thing)
    for key in ("prompt", "text", "question"):
        text = text_at(inner, key)
        if text is not None and text.strip():
            return Prompt(({"role": "user", "content": text},), _gold(inner), inner)
    raise DataError(thing, found=f"keys {', '.join(sorted(inner)) or 'none'}", wanted="messages, prompt or text")


def _from_messages(row: Json, task: Task | None, thing: str) -> Prompt:
    messages = list_at(row, "messages")
    found = [message for message in messages if isinstance(message, dict) and isinstance(message.get("role"), str)]
    if not found or len(found) != len(messages):
        raise DataError(thing, found="messages that are none", wanted='[{"role": ..., "content": ...}, ...]')
    gold = None
    if found[-1].get("role") == "assistant":
        gold = text_at(found[-1], "content")
        found = found[:-1]
    if not any(message.get("role") == "user" for message in found):
        raise DataError(thing, found="no message of the user")
    if task is not None and task.labels and found[0].get("role") != "system":
        found = [{"role": "system", "content": task.text("student.system")}, *found]
    return Prompt(tuple(found), gold, row)


def _from_fields(row: Json, task: Task, thing: str) -> Prompt:
    values = {name: text_at(row, name) for name in task.inputs}
    missing = [name for name, value in values.items() if value is None or not value.strip()]
    if missing:
        has = ", ".join(sorted(row)) or "nothing"
        raise DataError(thing, found=f"no {missing[0]!r}; it has: {has}", wanted=f"messages, or {', '.join(values)}")
    return Prompt(tuple(task.question(values)), _gold(row), row)


def _gold(row: Json) -> str | None:
    found = next((row[key] for key in ("label", "answer", "summary", "completion") if key in row), None)
    return found if isinstance(found, str) else None


def _plain(content: object) -> object:
    if isinstance(content, str):
        return evened(content)
    if isinstance(content, list):
        return [_plain(part) for part in content]
    if isinstance(content, dict):
        return {key: _plain(part) for key, part in content.items()}
    return content
