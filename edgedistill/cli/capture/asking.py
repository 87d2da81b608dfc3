"""Options of the verbs that ask a model: where, how fast, how much."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.forms import AnswerForm
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
AnswerFormOption = Annotated[
    str,
    typer.Option(
        "--answer-form", metavar="FORM", help="How a model is brought to answer in JSON: schema, object or prompt."
    ),
]
TemperatureOption = Annotated[
    float | None, typer.Option("--temperature", min=0, max=2, help="The teacher's.", show_default=False)
]
TopPOption = Annotated[float | None, typer.Option("--top-p", min=0, max=1, help="The teacher's.", show_default=False)]
LongestOption = Annotated[
    int | None,
    typer.Option("--max-completion-tokens", min=1, help="Longest answer of the teacher.", show_default=False),
]
TaskLabelsOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME", help="A label of a classification; give all of them.", show_default=False),
]
MaxWordsOption = Annotated[int, typer.Option("--max-words", min=5, max=10_000, help="Longest summary, in words.")]
SuccessOption = Annotated[
    float, typer.Option("--min-success-ratio", min=0, max=1, help="A gate: least share that has to succeed.")
]
ShareOption = Annotated[
    float, typer.Option("--validation-share", min=0, max=0.9, help="Share that goes into the validation set.")
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


def answer_form_from(name: str) -> "AnswerForm":
    """Return the form of this name.

    Raises:
        InputError: there is none.
    """
    from edgedistill.capture.endpoint.forms import AnswerForm
    from edgedistill.errors import InputError

    if name not in list(AnswerForm):
        raise InputError(f"answer form '{name}'", found="no such form", wanted=", ".join(AnswerForm))
    return AnswerForm(name)


def teacher_from(address: str | None, *, model: str, key_variable: str) -> "Endpoint":
    """Return the teacher's endpoint.

    Raises:
        InputError: the address or the model is missing.
    """
    from edgedistill.errors import InputError

    found = endpoint_from(address, model=model, key_variable=key_variable)
    if found is None or not model:
        lacking = "--model" if found else "--endpoint"
        raise InputError("teacher", found=f"no {lacking}", wanted="--endpoint URL --model NAME")
    return found


def sampling_from(
    *, temperature: float | None, top_p: float | None, max_completion_tokens: int | None
) -> dict[str, object]:
    """Return the keys of a request that the options say."""
    given = {"temperature": temperature, "top_p": top_p, "max_completion_tokens": max_completion_tokens}
    return {key: value for key, value in given.items() if value is not None}
