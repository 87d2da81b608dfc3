"""Options of the verbs that ask a model: where, how fast, how much."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.limits import Limits

KEY_VARIABLE = "OPENAI_API_KEY"

EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="Address of the API: http://127.0.0.1:8000/v1.", show_default=False),
]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME", help="The model to ask, whatever a definition names.")
]
KeyOption = Annotated[
    str, typer.Option("--key-variable", metavar="NAME", help="Environment variable that holds the key; '' sends none.")
]
ConcurrencyOption = Annotated[int, typer.Option("--concurrency", min=1, max=1024, help="Requests at once.")]
PaceOption = Annotated[float, typer.Option("--requests-per-minute", min=0, help="At most; 0: as they come.")]
RetriesOption = Annotated[int, typer.Option("--retries", min=0, max=100, help="Further tries of a failed request.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="Longest wait for one answer, in seconds.")]
MaxRequestsOption = Annotated[
    int, typer.Option("--max-requests", min=0, help="Stop after so many, retries included; 0: no limit.")
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", min=0, help="Stop after so many, as the endpoint counts them; 0: no limit.")
]


def endpoint_from(address: str | None, *, model: str, key_variable: str) -> "Endpoint | None":
    """Return the endpoint that was asked for, or None."""
    from edgedistill.capture.endpoint.address import checked_endpoint

    return checked_endpoint(address, key_variable=key_variable, model=model) if address else None


def limits_from(
    *,
    concurrency: int,
    requests_per_minute: float,
    retries: int,
    timeout: float,
    max_requests: int,
    max_tokens: int,
) -> "Limits":
    """Return the limits that the options say."""
    from edgedistill.capture.endpoint.limits import Limits

    return Limits(
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        retries=retries,
        timeout_s=timeout,
        max_requests=max_requests,
        max_tokens=max_tokens,
    )
