"""What the store holds: one answer of a teacher to one request.

Requests and responses are kept in the wire format of the chat completions API (`chat.completion`), so that a record
reads the same whether it was captured, imported or generated.
"""

from __future__ import annotations

import enum
import re
import secrets
import time
import unicodedata
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from edgedistill.capture.json_text import canonical, list_at, object_at, text_at, whole_at
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.json_text import Json

MAX_PAIRS = 16
MAX_KEY = 64
MAX_VALUE = 512
"""Limits of metadata, in pairs and in characters: those of the stored completions API."""

ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
"""Names that stand in a URL as they are."""

LATEST = 2**40
"""Unix seconds above which a time is taken for nonsense (milliseconds, mostly)."""


class Kind(enum.StrEnum):
    """What was asked of the teacher."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    PREDICTION = "prediction"


@dataclass(frozen=True)
class Grade:
    """What one grader says of one completion.

    Args:
        grader: its name.
        score: in the grader's own range; higher is better.
        passed: whether the score reached the grader's threshold; None where it has none.
    """

    grader: str
    score: float
    passed: bool | None = None


class TokenLogProbabilities(NamedTuple):
    """One token of an answer: what was said, and what else might have been.

    Args:
        token: the token's text.
        logprob: natural logarithm of its probability, at most 0.
        alternatives: text and log probability of the most likely tokens at this place; empty where not asked for.
    """

    token: str
    logprob: float
    alternatives: Mapping[str, float]


@dataclass(frozen=True)
class Completion:
    """One answer of a teacher, as it is given out. Changing one changes nothing in the store.

    Args:
        id: its name, unique in a store.
        kind: chat, embedding or prediction.
        created: unix time of the answer, s.
        model: the model that answered, as it calls itself.
        request: the request's body without `store` and `metadata`: for chat {"model", "messages", ...}, for an
            embedding {"model", "input"}, for a prediction {"model", "input"}.
        response: for chat the `chat.completion` object; for others {"object", "model", ...} without the vectors,
            which are in `arrays`.
        metadata: up to 16 pairs.
        finish_reason: of the first choice: "stop", "length", "tool_calls", ...; None for other kinds.
        grades: by grader.
        latency_ms: from the request's arrival to the end of the answer; None where not measured.
        source: where it came from: "http://127.0.0.1:8000/v1", "import:answers.jsonl", "recorder:defects".
        redaction: version of the redaction that it went through: "none" or a hash.
        arrays: sha256 of each array by name: "input", "output", "embedding"; `Store.array` gives the array.
    """

    id: str
    kind: Kind
    created: int
    model: str
    request: Json
    response: Json
    metadata: Mapping[str, str] = field(default_factory=dict)
    finish_reason: str | None = None
    grades: Mapping[str, Grade] = field(default_factory=dict)
    latency_ms: float | None = None
    source: str = ""
    redaction: str = "none"
    arrays: Mapping[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> list[Json]:
        """The messages of the request, those that are objects."""
        return [message for message in list_at(self.request, "messages") if isinstance(message, dict)]

    @property
    def prompt(self) -> str:
        """Text of the last user message; without one, of the last message; of an embedding, its input."""
        if self.kind is not Kind.CHAT:
            given = self.request.get("input")
            return given if isinstance(given, str) else ""
        said = [message for message in self.messages if message.get("role") == "user"] or self.messages
        return text_of_content(said[-1].get("content")) if said else ""

    @property
    def answer(self) -> str | None:
        """Text of the first choice; None where there is none (tool calls, refusals, other kinds)."""
        return text_at(object_at(first_choice(self.response), "message"), "content")

    @property
    def log_probabilities(self) -> list[TokenLogProbabilities]:
        """Tokens of the first choice; empty where the teacher gave no log probabilities."""
        tokens = list_at(object_at(first_choice(self.response), "logprobs"), "content")
        return [_token(token) for token in tokens if isinstance(token, dict)]


def chat_completion(
    request: Mapping[str, object],
    response: Mapping[str, object],
    *,
    metadata: Mapping[str, str] | None = None,
    latency_ms: float | None = None,
    source: str = "",
    redaction: str = "none",
) -> Completion:
    """Return the record of a chat request and its answer, to be added to a store.

    `store` and `metadata` are taken out of the request. Without `metadata`, the request's own is kept. An id that
    could not stand in a URL is replaced by a new one; so is one that is missing.

    Args:
        request: body of the request: {"model", "messages", ...}.
        response: body of the answer: {"object": "chat.completion", "choices": [...], ...}.
        metadata: up to 16 pairs.
        latency_ms: from the request to the end of the answer.
        source: where it came from.
        redaction: version of the redaction that both went through.

    Raises:
        DataError: the response has no choices, or the metadata is out of its limits.
    """
    if not first_choice(response):
        raise DataError("chat completion", found="no choices in the response", wanted="at least one")
    pairs = request.get("metadata") if metadata is None else metadata
    name = text_at(response, "id") or ""
    name = name if ID.fullmatch(name) else new_id("chatcmpl")
    model = text_at(response, "model") or text_at(request, "model") or "unknown"
    created = whole_at(response, "created")
    created = created if created is not None and 0 <= created < LATEST else int(time.time())
    return Completion(
        id=name,
        kind=Kind.CHAT,
        created=created,
        model=model,
        request={key: value for key, value in request.items() if key not in ("store", "metadata")},
        response={**response, "id": name, "object": "chat.completion", "created": created, "model": model},
        metadata=checked_metadata(pairs),
        finish_reason=text_at(first_choice(response), "finish_reason"),
        latency_ms=latency_ms,
        source=source,
        redaction=redaction,
    )


def new_id(prefix: str) -> str:
    """Return a name that nothing else has: "chatcmpl-" and 24 hexadecimal digits."""
    return f"{prefix}-{secrets.token_hex(12)}"


def checked_metadata(pairs: object) -> dict[str, str]:
    """Return metadata that keeps to its limits; None is none.

    Raises:
        DataError: it is no object of texts, or has too many pairs, or a key or a value is too long.
    """
    if pairs is None:
        return {}
    thing = "metadata"
    if not hasattr(pairs, "items"):
        raise DataError(thing, found=type(pairs).__name__, wanted="an object of texts")
    checked = dict(pairs.items())
    if len(checked) > MAX_PAIRS:
        raise DataError(thing, found=f"{len(checked)} pairs", wanted=f"at most {MAX_PAIRS}")
    for key, value in checked.items():
        _check_pair(key, value)
    return checked


def _check_pair(key: object, value: object) -> None:
    for thing, text, limit in (("metadata key", key, MAX_KEY), ("metadata value", value, MAX_VALUE)):
        if not isinstance(text, str):
            raise DataError(thing, found=type(text).__name__, wanted="a text")
        if len(text) > limit:
            raise DataError(thing, found=f"{len(text)} characters", wanted=f"at most {limit}")
        if not is_unicode(text):
            raise DataError(thing, found="half of a surrogate pair", wanted="Unicode text")


def is_unicode(text: str) -> bool:
    """Say whether a text can be written as UTF-8: JSON may hold lone halves of surrogate pairs, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_choice(response: Mapping[str, object]) -> Json:
    """Return the first choice of a response; an empty object where there is none."""
    choices = list_at(response, "choices")
    return choices[0] if choices and isinstance(choices[0], dict) else {}


def text_of_content(content: object) -> str:
    """Return the text of a message's content: a text as it is, the text parts of a list joined by line ends."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def prompt_hash(completion: Completion) -> str:
    """Return what two completions share that were asked the same, whatever case and space it was written in.

    Sha256 of what was asked: the roles and contents of all messages, or the input. A split by it never puts one
    prompt on two sides.
    """
    if completion.kind is Kind.CHAT:
        asked: object = [(message.get("role"), _plain(message.get("content"))) for message in completion.messages]
    else:
        inputs = {name: hash_ for name, hash_ in completion.arrays.items() if name.startswith("input")}
        asked = [_plain(completion.request.get("input")), inputs]
    return sha256(canonical(asked)).hexdigest()


def duplicate_hash(completion: Completion) -> str:
    """Return what exact duplicates share: sha256 of the messages, tools and form asked for, and of the answer."""
    asked = [completion.request.get(key) for key in ("messages", "tools", "response_format", "input")]
    answers = [choice.get("message") for choice in list_at(completion.response, "choices") if isinstance(choice, dict)]
    return sha256(canonical([completion.kind, asked, answers, dict(completion.arrays)])).hexdigest()


def evened(text: str) -> str:
    """Return a text in lower case, in one Unicode form, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _plain(content: object) -> object:
    """Return content with case and space evened out, at any depth."""
    if isinstance(content, str):
        return evened(content)
    if isinstance(content, list):
        return [_plain(part) for part in content]
    if isinstance(content, dict):
        return {key: _plain(part) for key, part in content.items()}
    return content


def _token(token: Json) -> TokenLogProbabilities:
    others = [other for other in list_at(token, "top_logprobs") if isinstance(other, dict)]
    alternatives = {str(other.get("token")): _number(other.get("logprob")) for other in others}
    return TokenLogProbabilities(str(token.get("token")), _number(token.get("logprob")), alternatives)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("-inf")
