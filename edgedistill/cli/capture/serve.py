"""`edgedistill capture serve`."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import (
    STORE,
    MaxAgeOption,
    MaxSizeOption,
    MetadataOption,
    RedactFunctionOption,
    RedactOption,
    StoreOption,
    pairs_of,
    redaction_from,
    retention_from,
)
from edgedistill.cli.output import document, say
from edgedistill.errors import DependencyError, InputError

if TYPE_CHECKING:
    from edgedistill.capture.policy import Policy
    from edgedistill.capture.writer import Counts

NOTICE = (
    "note: some providers' terms forbid training other models on their answers; every completion keeps the address it "
    "came from"
)


def serve(
    upstream: Annotated[
        str,
        typer.Argument(metavar="ADDRESS", help="The teacher's API: https://api.openai.com/v1.", show_default=False),
    ],
    *,
    store: StoreOption = STORE,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8383,
    ask: Annotated[
        str,
        typer.Option(
            "--store-when",
            metavar="WHEN",
            help='requested: where a request says "store": true; always: unless it says false; never.',
        ),
    ] = "requested",
    rate: Annotated[float, typer.Option("--sample", metavar="SHARE", help="Share of those to store, at random.")] = 1.0,
    pairs: MetadataOption = None,
    redact: RedactOption = None,
    redact_function: RedactFunctionOption = None,
    max_age: MaxAgeOption = None,
    max_size: MaxSizeOption = None,
    forwards_store: Annotated[
        bool,
        typer.Option("--forward-store", help="Pass `store` and `metadata` on to the teacher; else only we see them."),
    ] = False,
    upstream_key: Annotated[
        str | None,
        typer.Option("--upstream-key-env", metavar="NAME", help="Variable with a key to send instead of callers'."),
    ] = None,
    access_key: Annotated[
        str | None,
        typer.Option("--access-key-env", metavar="NAME", help="Variable with a key that callers must send us."),
    ] = None,
    allowed: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Another name of this server; may be given again."),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Between two pieces of an answer.")
    ] = 600.0,
    as_json: JsonOption = False,
) -> None:
    """Pass requests on to a teacher's API and store the answers; the openai client works with it as it is."""
    try:
        from edgedistill.capture.server.relay import Settings
        from edgedistill.capture.server.serve import serve as run_server
        from edgedistill.capture.server.upstream import checked_upstream
    except ImportError as error:
        fix = "pip install 'edgedistill[capture]'"
        raise DependencyError(f"package '{error.name}'", found="not installed", fix=fix) from error
    access = _variable(access_key)
    settings = Settings(
        checked_upstream(upstream, key=_variable(upstream_key)),
        policy=_policy(ask, rate),
        redaction=redaction_from(redact, redact_function),
        metadata=pairs_of(pairs),
        forwards_store=forwards_store,
        secrets=[access] if access else [],
        read_timeout_s=timeout_s,
    )

    def started(address: str) -> None:
        if as_json:
            document({"address": address, "store": str(store), "upstream": settings.upstream.address})
            return
        say(f"{address} passes on to {settings.upstream.address}; store '{store}'; Ctrl-C ends it")
        say(NOTICE)

    try:
        run_server(
            settings,
            store,
            host=host,
            port=port,
            retention=retention_from(max_age, max_size),
            hosts=allowed or (),
            access_key=access,
            on_start=started,
            on_end=lambda counts: None if as_json else _ended(counts),
        )
    except KeyboardInterrupt:  # how a server ends
        raise typer.Exit(0) from None


def _policy(ask: str, rate: float) -> "Policy":
    from edgedistill.capture.policy import Ask, Policy

    if ask not in list(Ask):
        raise InputError(f"--store-when '{ask}'", found="another word", wanted=", ".join(Ask))
    return Policy(Ask(ask), rate)


def _variable(name: str | None) -> str | None:
    """Return the value of an environment variable: a key on the command line is seen by every user of the machine."""
    if name is None:
        return None
    value = os.environ.get(name, "")
    if not value.isascii() or not value.isprintable() or not value or " " in value:
        raise InputError(f"environment variable '{name}'", found="not set, or no key in it")
    return value


def _ended(counts: "Counts") -> None:
    told = [f"stored {counts.stored} answers"]
    told += [f"{counts.skipped} were no whole completions"] if counts.skipped else []
    told += [f"{counts.failed} could not be stored"] if counts.failed else []
    told += [f"{counts.dropped} came too fast"] if counts.dropped else []
    say("; ".join(told))
