"""Captured completions as a teacher that names classes leaves them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from small_tokenizers import opinions

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.store import Entry, Store

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.completion import Completion


def labelled_chat(
    number: int,
    prompt: str,
    answer: str,
    *,
    logprobs: dict[str, float] | None = None,
    metadata: dict[str, str] | None = None,
    finish_reason: str = "stop",
    system: str = "Say good or bad.",
) -> Completion:
    """Return a chat completion; log probabilities are those of the answer's first token and its alternatives."""
    choice: dict[str, object] = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": answer},
        "logprobs": None,
    }
    if logprobs is not None:
        token = max(logprobs, key=lambda name: logprobs[name])
        others = [{"token": name, "logprob": value} for name, value in logprobs.items()]
        content = [{"token": token, "logprob": logprobs[token], "top_logprobs": others}]
        choice["logprobs"] = {"content": content}
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    response = {"id": f"chatcmpl-{number}", "created": 1000 + number, "model": "teacher", "choices": [choice]}
    return chat_completion({"model": "teacher", "messages": messages}, response, metadata=metadata or {})


def opinion_chats(count: int) -> list[Completion]:
    """Return chats about opinions, with log probabilities; every third has its true class under `gold`."""
    found = []
    for number, (text, label) in enumerate(opinions(count)):
        other = "bad" if label == "good" else "good"
        logprobs = {label: math.log(0.9), f" {other}": math.log(0.08), "maybe": math.log(0.02)}
        metadata = {"task": "opinion", **({"gold": label} if number % 3 == 0 else {})}
        found.append(labelled_chat(number, text, f"{label.title()}.", logprobs=logprobs, metadata=metadata))
    return found


def write_store(folder: Path, completions: list[Completion]) -> Path:
    """Write a store, and return its folder."""
    with Store(folder) as store:
        store.add_many(Entry(completion) for completion in completions)
    return folder
