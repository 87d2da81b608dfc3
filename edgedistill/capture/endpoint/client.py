"""The client: one request after another to an endpoint, within limits, tried again where that may help."""

from __future__ import annotations

import asyncio
import random
import re
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Final, Self

from edgedistill.capture.endpoint.address import headers_of
from edgedistill.capture.endpoint.answers import Answer, Usage, answer_from_response, error_message, usage_of
from edgedistill.capture.endpoint.limits import Budget, Limits, Pace, SystemClock
from edgedistill.capture.json_text import list_at, parsed_object, text_of
from edgedistill.errors import DependencyError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx2

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.limits import Clock
    from edgedistill.capture.json_text import Json

PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may succeed."""
HOPELESS: Final = frozenset({401, 403, 404, 405})
"""Statuses that every other request will meet as well: a wrong key, address or model."""
LONGEST_WAIT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 64 * 2**20
"""An answer that is larger is no chat completion."""


class EndpointError(InputError):
    """An endpoint cannot be used at all: wrong address, key or model."""


class RequestError(Exception):
    """One request got no answer; others may.

    Args:
        reason: what happened, on one line.
        requests: requests that were sent for it.
        usage: tokens that they used all the same.
    """

    def __init__(self, reason: str, *, requests: int, usage: Usage | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.requests = requests
        self.usage = usage or Usage()


class Client:
    """Asks one endpoint. Use it as an asynchronous context.

    Args:
        endpoint: where to ask.
        limits: how fast and how much.
        budget: what was used before; a new one without.
        clock: where time comes from.
        transport: what carries the requests; the network without.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits | None = None,
        *,
        budget: Budget | None = None,
        clock: Clock | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or Limits()
        self.budget = budget or Budget(self.limits)
        self._clock = clock or SystemClock()
        self._pace = Pace(self.limits.requests_per_minute, self._clock)
        self._places = asyncio.Semaphore(self.limits.concurrency)
        self._http = _http_client(self.limits, transport)
        self._random = random.Random(0)  # noqa: S311 - it spreads retries, and is no secret

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.aclose()

    async def complete(self, body: Mapping[str, object]) -> Answer:
        """Return the answer to a chat completion request.

        Raises:
            RequestError: this request got no usable answer.
            EndpointError: no request will get one.
            LimitError: no more may be asked.
        """
        request = {**body, "model": self.endpoint.model or body.get("model")}
        response, requests = await self._post("chat/completions", request)
        answer = answer_from_response(response, requests=requests)
        if answer is None:
            raise RequestError("an answer without a message", requests=requests, usage=usage_of(response))
        return answer

    async def embed(self, texts: Sequence[str], *, model: str) -> list[list[float]]:
        """Return one vector per text.

        Raises:
            RequestError: this request got no usable answer.
            EndpointError: no request will get one.
            LimitError: no more may be asked.
        """
        body: Json = {"model": model, "input": list(texts), "encoding_format": "float"}
        response, requests = await self._post("embeddings", body)
        vectors = [_vector(entry) for entry in list_at(response, "data")]
        if len(vectors) != len(texts) or not all(vectors) or len({len(vector) for vector in vectors}) != 1:
            raise RequestError(
                f"{len(vectors)} vectors for {len(texts)} texts", requests=requests, usage=usage_of(response)
            )
        return vectors

    async def _post(self, path: str, body: Json) -> tuple[Json, int]:
        content = text_of(body).encode()
        async with self._places:
            for tried in range(1, self.limits.retries + 2):
                await self._pace.turn()
                self.budget.take_request()
                response, reason, wait_s = await self._once(path, content, tried=tried)
                if response is not None:
                    self.budget.add(usage_of(response))
                    return response, tried
                if wait_s is None or tried > self.limits.retries:
                    break
                await self._clock.sleep(wait_s)
            raise RequestError(reason, requests=tried)

    async def _once(self, path: str, content: bytes, *, tried: int) -> tuple[Json | None, str, float | None]:
        """Return the response, or why there is none and how long to wait before the next try (None: no use)."""
        import httpx2  # noqa: PLC0415 - an optional package

        try:
            status, headers, answer = await self._send(path, content)
        except httpx2.InvalidURL as error:
            raise EndpointError(f"endpoint '{self.endpoint.address}'", found=str(error)) from error
        except httpx2.HTTPError as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": "), self._backoff_s(tried)
        if status in HOPELESS:
            raise self._hopeless(status, answer)
        if status in PASSING:
            wait_s = self._wait_s(headers, tried)
            return None, f"status {status}: {error_message(answer)}".rstrip(": "), wait_s
        if status != 200:  # noqa: PLR2004 - the one status of an answer
            return None, f"status {status}: {error_message(answer)}".rstrip(": "), None
        response = parsed_object(answer)
        return response, "" if response is not None else "an answer that is no JSON object", self._backoff_s(tried)

    async def _send(self, path: str, content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"content-type": "application/json", **headers_of(self.endpoint)}
        url = self.endpoint.url(path)
        parts, size = [], 0
        async with self._http.stream("POST", url, content=content, headers=headers) as response:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise RequestError(f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB", requests=1)
                parts.append(part)
        return response.status_code, response.headers, b"".join(parts)

    def _wait_s(self, headers: Mapping[str, str], tried: int) -> float | None:
        if headers.get("x-should-retry") == "false":
            return None
        asked_s = retry_after_s(headers)
        if asked_s is None:
            return self._backoff_s(tried)
        if asked_s > LONGEST_WAIT_S:
            return None  # a quota of the hour or the day: waiting here would look like a hang
        self._pace.hold(asked_s)
        return asked_s

    def _backoff_s(self, tried: int) -> float:
        return float(min(LONGEST_WAIT_S, 0.5 * 2 ** (tried - 1)) * (0.75 + 0.5 * self._random.random()))

    def _hopeless(self, status: int, answer: bytes) -> EndpointError:
        said = _without_key(error_message(answer))
        return EndpointError(
            f"endpoint '{self.endpoint.address}'",
            found=f"status {status}" + (f": {said}" if said else ""),
            wanted="an address, a key and a model that it accepts",
            fix=f"the key is read from {self.endpoint.key_variable}" if self.endpoint.key_variable else "",
        )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait (RFC 9110, section 10.2.3); None where it does not say."""
    milliseconds = _positive(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _positive(text)
    if seconds is not None or text is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None


def _positive(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text) else None


def _vector(entry: object) -> list[float]:
    values = list_at(entry, "embedding")
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return numbers if len(numbers) == len(values) else []


def _without_key(text: str) -> str:
    """Return a message without what looks like a key: some servers repeat the one that they refuse."""
    return re.sub(r"\b(sk|key|Bearer)[-_ ][A-Za-z0-9*_\-.]{6,}", "[key]", text)


def _http_client(limits: Limits, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    try:
        import httpx2  # noqa: PLC0415 - an optional package
    except ModuleNotFoundError as error:
        raise DependencyError(
            "asking a model", found="httpx2 is not installed", fix="pip install 'edgedistill[grading]'"
        ) from error
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(limits.timeout_s, connect=min(10.0, limits.timeout_s)),
        limits=httpx2.Limits(max_connections=limits.concurrency),
        transport=transport,
        follow_redirects=False,  # a redirect would take the key elsewhere
    )
