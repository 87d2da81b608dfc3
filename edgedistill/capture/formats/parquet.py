"""Completions as a table: Apache Parquet."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from edgedistill.capture.completion import prompt_hash
from edgedistill.capture.json_text import object_at, text_of, whole_at, writable
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.capture.completion import Completion

ROWS = 1024
"""Completions in a group of rows, which are in memory together."""


def write_parquet(
    path: Path,
    completions: Iterable[Completion],
    *,
    arrays_of: Callable[[Completion], Mapping[str, NDArray[np.generic]]],
) -> int:
    """Write a table of completions; return how many.

    Columns: id, kind, created (timestamp, s, UTC), model, prompt, answer, finish_reason, prompt_tokens,
    completion_tokens, latency_ms, source, redaction, prompt_hash, metadata (map), grades (list of grader, score,
    passed), request and response (JSON text), arrays (list of name, dtype, shape, data; the data are the bytes in
    row-major order).

    Raises:
        DependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional
    except ImportError as error:
        fix = "pip install 'edgedistill[capture]'"
        raise DependencyError("package 'pyarrow'", found="not installed", fix=fix) from error
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("kind", pa.string()),
            ("created", pa.timestamp("s", tz="UTC")),
            ("model", pa.string()),
            ("prompt", pa.string()),
            ("answer", pa.string()),
            ("finish_reason", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("latency_ms", pa.float64()),
            ("source", pa.string()),
            ("redaction", pa.string()),
            ("prompt_hash", pa.string()),
            ("metadata", pa.map_(pa.string(), pa.string())),
            (
                "grades",
                pa.list_(pa.struct([("grader", pa.string()), ("score", pa.float64()), ("passed", pa.bool_())])),
            ),
            ("request", pa.string()),
            ("response", pa.string()),
            (
                "arrays",
                pa.list_(
                    pa.struct(
                        [
                            ("name", pa.string()),
                            ("dtype", pa.string()),
                            ("shape", pa.list_(pa.int64())),
                            ("data", pa.binary()),
                        ]
                    )
                ),
            ),
        ]
    )
    count, left = 0, iter(completions)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := [_row(completion, arrays_of(completion)) for completion in islice(left, ROWS)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _row(completion: Completion, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, object]:
    usage = object_at(completion.response, "usage")
    answer = completion.answer
    return {
        "id": completion.id,
        "kind": str(completion.kind),
        "created": completion.created,
        "model": completion.model,
        "prompt": writable(completion.prompt),
        "answer": None if answer is None else writable(answer),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": _small(whole_at(usage, "prompt_tokens")),
        "completion_tokens": _small(whole_at(usage, "completion_tokens")),
        "latency_ms": completion.latency_ms,
        "source": completion.source,
        "redaction": completion.redaction,
        "prompt_hash": prompt_hash(completion),
        "metadata": list(completion.metadata.items()),
        "grades": [
            {"grader": grade.grader, "score": grade.score, "passed": grade.passed}
            for grade in completion.grades.values()
        ],
        "request": text_of(completion.request),
        "response": text_of(completion.response),
        "arrays": [
            {"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}
            for name, array in arrays.items()
        ],
    }


def _small(value: int | None) -> int | None:
    """Return a count of tokens; None for what no 64 bits hold."""
    return value if value is not None and abs(value) < 2**63 else None
