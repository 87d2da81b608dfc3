"""How numbers and names read, in the page and in the terminal alike. Loads nothing but the summary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from edgedistill.run.summary import TeacherOutputsRecord

MINUS: Final = "\N{MINUS SIGN}"
DASH: Final = "\N{EN DASH}"
NOTHING: Final = "\N{EM DASH}"
TIMES: Final = "\N{MULTIPLICATION SIGN}"

BADGES: Final = {
    Execution.DEVICE: "on the device",
    Execution.HOST: "host workstation",
    Execution.EMULATED: "emulated CPU",
    Execution.INTERPRETED: "interpreted file",
    Execution.SIMULATED: "simulated in torch",
    Execution.PARSED: "parsed, not run",
    Execution.NOT_RUN: "not run",
}
"""What the reader sees beside every result. Nothing that is no device may read like one."""

MEANINGS: Final = {
    Execution.DEVICE: "Ran on the deployment hardware.",
    Execution.HOST: "Ran on the CPU of this workstation, not on the device.",
    Execution.EMULATED: "Ran in the runtime of the device, on an emulated CPU: a result, never a time.",
    Execution.INTERPRETED: "Computed by our own reading of the saved file, not by the runtime of the device.",
    Execution.SIMULATED: "Computed by the torch program that the artifact was made from.",
    Execution.PARSED: "Only read and checked; nothing was computed.",
    Execution.NOT_RUN: "Could not be run here. It never counts as a pass.",
}
"""One sentence for each badge."""

_STAGES: Final = {
    "teacher": "Teacher",
    "student-alone": "Student alone",
    "student": "Student, distilled",
    "calibrated": "INT8, calibrated only",
    "program": "INT8 program",
    "artifact": "Artifact",
    "student-fp32": "Student, fp32",
    "finetune": "INT8 fine-tuning",
}


def stage_title(stage: str) -> str:
    """Return the reader's name of a stage, a training or a model; an unknown one stays as it is.

    What follows the stage's name stays: "artifact onnxruntime-x86_64" is "Artifact onnxruntime-x86_64".
    """
    name, space, rest = stage.partition(" ")
    return _STAGES.get(name, name) + space + rest


def outputs_text(outputs: TeacherOutputsRecord) -> str:
    """Return what a run says of its teacher's outputs: how many, found or computed, size, and what storing lost."""
    views = f"{outputs.views} view{'' if outputs.views == 1 else 's'}"
    parts = [f"{outputs.samples:,} samples in {views}, {outputs.hit_rate:.0%} found in the cache".replace("%", " %")]
    kept = f"logits {size(outputs.logits_bytes)}"
    if outputs.temperature is not None:
        kept += f" (the {outputs.kept_logits} largest of {outputs.classes:,}; of the others their share at "
        kept += f"T = {outputs.temperature:g}, total variation at most {outputs.errors.get('logits', math.nan):.2g})"
    parts.append(kept)
    for layer, size_bytes in outputs.features_bytes.items():
        error = outputs.errors.get(f"features/{layer}")
        lost = "" if error is None else f", relative error at most {error:.2g}"
        parts.append(f"'{layer}' {size(size_bytes)} ({outputs.features_type}{lost})")
    return "; ".join(parts)


def model_title(model: str) -> str:
    """Return "Student, fp32", or "INT8 artifact, raspberry-pi-5" for `target/profile`."""
    target, slash, profile = model.partition("/")
    return f"INT8 artifact, {profile}" if slash else stage_title(target)


def count(number: float) -> str:
    """Return "43,978"."""
    return f"{number:,.0f}"


def percent(share: float, *, digits: int = 2) -> str:
    """Return "91.82 %" for a share from 0 to 1.

    Digits are added until a share below 1 does not read as 100 %, nor one above 0 as 0 %: a single
    differing sample must not be rounded away.
    """
    text = f"{share * 100:.{digits}f}"
    while digits < 9 and (float(text) in (0, 100)) and share not in (0, 1):  # noqa: PLR2004
        digits += 1
        text = f"{share * 100:.{digits}f}"
    return f"{text} %"


def percent_range(low: float, high: float) -> str:
    """Return "91.27-92.34 %" (with an en dash) for two shares from 0 to 1."""
    return f"{low * 100:.2f}{DASH}{high * 100:.2f} %"


def points(difference: float) -> str:
    """Return "+0.31" or "-1.93" (with a minus sign): a difference of shares in percentage points."""
    text = f"{difference * 100:.2f}"
    value = float(text)
    return "0.00" if value == 0 else f"{value:+.2f}".replace("-", MINUS)


def significant(value: float, *, digits: int = 3) -> str:
    """Return "0.312", "12.3" or "1,520": significant digits and no exponent, for a value of at least 0."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def size(size_bytes: int) -> str:
    """Return "61.2 kB"; a kilobyte is 1,000 bytes."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{significant(size_bytes / factor)} {unit}"
    return f"{size_bytes} B"


def milliseconds(value_ms: float) -> str:
    """Return "0.312 ms"."""
    return f"{significant(value_ms)} ms"


def aligned(value: float) -> str:
    """Return "1,520.312": three decimals, so that a column of milliseconds lines up."""
    return f"{value:,.3f}"


def steps(value: float) -> str:
    """Return "2.00" for a difference in output steps of at least 0; what is not 0 does not read as 0."""
    return f"{value:,.2f}" if value == 0 or value >= 0.005 else "< 0.01"  # noqa: PLR2004 - what rounds to 0.01


def ratio(value: float) -> str:
    """Return "3.62 x" (with a multiplication sign) for a ratio."""
    return f"{significant(value)}{TIMES}"


def unbroken(text: str) -> str:
    """Return the text with spaces at which no line ends."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def shorten(text: str, *, length: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most `length` characters."""
    return text if len(text) <= length else text[: max(1, length - 1)].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
