"""Where a model answers, and which key goes there."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgedistill.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"
"""The environment variable that the API's own clients read."""


@dataclass(frozen=True)
class Endpoint:
    """An address that speaks the OpenAI API. It holds no key: only the name of the variable that does.

    Args:
        address: base URL with its version: "http://127.0.0.1:8000/v1".
        key_variable: environment variable that holds the key; empty sends none.
        model: model to ask instead of the one that a definition names; empty leaves it to the definition.
    """

    address: str
    key_variable: str = KEY_VARIABLE
    model: str = ""

    def url(self, path: str) -> str:
        """Return the URL of an operation: "chat/completions"."""
        return f"{self.address.rstrip('/')}/{path}"


def checked_endpoint(address: str, *, key_variable: str = KEY_VARIABLE, model: str = "") -> Endpoint:
    """Return the endpoint at an address.

    Raises:
        InputError: it is no http address, has a user or a query in it, or would carry a key in the clear to
            another machine.
    """
    thing = "endpoint address"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(thing, found=str(error), wanted="an address such as http://127.0.0.1:8000/v1") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"{thing} '{address}'", found="no http address", wanted="http://127.0.0.1:8000/v1 or the like")
    if parts.username or parts.password or parts.query or parts.fragment:
        # not repeated in the message: it may be a key
        raise InputError(
            thing, found="a user, a query or a fragment in it", wanted="the base URL alone", fix="give keys by variable"
        )
    if parts.scheme == "http" and not is_local(host) and os.environ.get(key_variable):
        raise InputError(
            f"{thing} '{address}'",
            found=f"the key in {key_variable} would go to another machine in the clear",
            wanted="https",
            fix="use https, or --key-variable '' to send no key",
        )
    return Endpoint(address, key_variable=key_variable, model=model)


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers that carry the key; none where the variable is empty or unset."""
    key = os.environ.get(endpoint.key_variable, "") if endpoint.key_variable else ""
    return {"authorization": f"Bearer {key}"} if key else {}


def is_local(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
