"""The endpoints of stored completions: list, retrieve, update, delete, messages, as the API has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from edgedistill.capture.completion import MAX_PAIRS, Kind, checked_metadata, text_of_content
from edgedistill.capture.filters import Filter
from edgedistill.capture.formats.listing import listing, stored_completion
from edgedistill.capture.json_text import parsed_object
from edgedistill.capture.server.answers import error_answer, json_answer
from edgedistill.capture.store import Order
from edgedistill.errors import EdgeDistillError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from edgedistill.capture.completion import Completion
    from edgedistill.capture.json_text import Json
    from edgedistill.capture.store import Store

PATH = "/v1/chat/completions"
MAX_LIMIT = 100
MAX_UPDATE = 64 * 1024
"""Bytes of an update: 16 pairs of metadata have at most 9,216 characters."""

METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class _BadRequestError(Exception):
    """A parameter that cannot be used: its name, and what is wanted."""

    def __init__(self, param: str, wanted: str) -> None:
        super().__init__(f"{param}: wanted {wanted}")
        self.param = param


def routes(store: Store) -> list[Route]:
    """Return the endpoints on a store."""

    def answering(work: Callable[[Store, Request, bytes], Response]) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            body = await _short_body(request)
            return await run_in_threadpool(_answer, work, store, request, body)

        return endpoint

    return [
        Route(PATH, answering(_list), methods=["GET"]),
        Route(PATH + "/{id}", answering(_retrieve), methods=["GET"]),
        Route(PATH + "/{id}", answering(_update), methods=["POST"]),
        Route(PATH + "/{id}", answering(_delete), methods=["DELETE"]),
        Route(PATH + "/{id}/messages", answering(_messages), methods=["GET"]),
    ]


def _answer(work: Callable[[Store, Request, bytes], Response], store: Store, request: Request, body: bytes) -> Response:
    try:
        return work(store, request, body)
    except _BadRequestError as error:
        return error_answer(400, str(error), param=error.param)
    except ResourceError as error:
        return error_answer(503, str(error))
    except EdgeDistillError as error:
        return error_answer(400, str(error))


def _list(store: Store, request: Request, _body: bytes) -> Response:
    query = request.query_params
    chosen = Filter(
        kind=Kind.CHAT,
        model=query.get("model"),
        metadata=_pairs(query),
        created_after=_whole(query, "created_after"),
        created_before=_whole(query, "created_before"),
    )
    after = query.get("after")
    if after is not None and store.get(after) is None:
        raise _BadRequestError("after", "the id of a stored completion")
    page = store.page(chosen, order=_order(query), after=after, limit=_limit(query))
    return json_answer(
        listing([stored_completion(completion) for completion in page.completions], has_more=page.has_more)
    )


def _retrieve(store: Store, request: Request, _body: bytes) -> Response:
    completion = _chat(store, request)
    return _not_found() if completion is None else json_answer(stored_completion(completion))


def _update(store: Store, request: Request, body: bytes) -> Response:
    completion, given = _chat(store, request), parsed_object(body)
    if completion is None:
        return _not_found()
    if given is None or "metadata" not in given:
        raise _BadRequestError("metadata", "an object of texts")
    store.set_metadata(completion.id, checked_metadata(given["metadata"]))
    return _retrieve(store, request, body)


def _delete(store: Store, request: Request, _body: bytes) -> Response:
    completion = _chat(store, request)
    if completion is None or not store.delete([completion.id]).completions:
        return _not_found()
    return json_answer({"object": "chat.completion.deleted", "id": completion.id, "deleted": True})


def _messages(store: Store, request: Request, _body: bytes) -> Response:
    completion, query = _chat(store, request), request.query_params
    if completion is None:
        return _not_found()
    messages = [_message(completion.id, place, message) for place, message in enumerate(completion.messages)]
    if _order(query) is Order.NEWEST_FIRST:
        messages.reverse()
    after = query.get("after")
    if after is not None:
        places = [place for place, message in enumerate(messages) if message["id"] == after]
        if not places:
            raise _BadRequestError("after", "the id of a message")
        messages = messages[places[0] + 1 :]
    limit = _limit(query)
    return json_answer(listing(messages[:limit], has_more=len(messages) > limit))


def _message(name: str, place: int, message: Json) -> Json:
    content = message.get("content")
    is_text = content is None or isinstance(content, str)
    parts = None if is_text else content
    return {**message, "id": f"{name}-{place}", "content": text_of_content(content), "content_parts": parts}


def _chat(store: Store, request: Request) -> Completion | None:
    completion = store.get(request.path_params["id"])
    return completion if completion is not None and completion.kind is Kind.CHAT else None


def _not_found() -> Response:
    return error_answer(404, "no stored completion has this id", param="id")


def _pairs(query: QueryParams) -> dict[str, str]:
    found = {match[1]: value for name, value in query.multi_items() if (match := METADATA.fullmatch(name))}
    if len(found) > MAX_PAIRS:
        raise _BadRequestError("metadata", f"at most {MAX_PAIRS} pairs")
    return found


def _order(query: QueryParams) -> Order:
    given = query.get("order", "asc")
    if given not in list(Order):
        raise _BadRequestError("order", "asc or desc")
    return Order(given)


def _limit(query: QueryParams) -> int:
    given = _whole(query, "limit")
    if given is None:
        return 20
    if not 1 <= given <= MAX_LIMIT:
        raise _BadRequestError("limit", f"1 to {MAX_LIMIT}")
    return given


def _whole(query: QueryParams, name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise _BadRequestError(name, "a whole number")
    return int(given)


async def _short_body(request: Request) -> bytes:
    """Return the body, cut where it is longer than an update can be: then it is no JSON, and refused as that."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_UPDATE:
            break
    return body
