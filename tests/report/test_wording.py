"""How numbers read; nothing may be rounded into a claim."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.evaluate.executor import Execution
from edgedistill.report import wording
from edgedistill.run.summary import TeacherOutputsRecord


@given(wrong=st.integers(1, 999), n=st.integers(1_000, 10_000_000))
def test_a_single_wrong_sample_never_reads_as_all_or_none(wrong: int, n: int) -> None:
    assert float(wording.percent((n - wrong) / n).removesuffix(" %")) < 100
    assert float(wording.percent(wrong / n).removesuffix(" %")) > 0


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.00 %"), (0.0, "0.00 %"), (0.9198, "91.98 %"), (0.99996, "99.996 %")]
)
def test_percent(share: float, text: str) -> None:
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (52_871, "52.9 kB"),
        (4_925_112, "4.93 MB"),
        (2 * 10**9, "2.00 GB"),
    ],
)
def test_size(size_bytes: int, text: str) -> None:
    assert wording.size(size_bytes) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.3122, "0.312"), (0.00098, "0.000980"), (12.34, "12.3"), (1520.4, "1,520")]
)
def test_significant(value: float, text: str) -> None:
    assert wording.significant(value) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(0.0031, "+0.31"), (-0.0193, "\N{MINUS SIGN}1.93"), (0.0, "0.00"), (-1e-7, "0.00")]
)
def test_points(difference: float, text: str) -> None:
    assert wording.points(difference) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.00"), (0.004, "< 0.01"), (1.0, "1.00")])
def test_steps(value: float, text: str) -> None:
    assert wording.steps(value) == text


def test_every_execution_has_a_badge_and_a_meaning_of_its_own() -> None:
    assert set(wording.BADGES) == set(wording.MEANINGS) == set(Execution)
    assert len(set(wording.BADGES.values())) == len(Execution)


def test_only_the_device_reads_like_the_device() -> None:
    assert [execution for execution, words in wording.BADGES.items() if "device" in words] == [Execution.DEVICE]


def test_titles() -> None:
    assert wording.stage_title("artifact onnxruntime-x86_64") == "Artifact onnxruntime-x86_64"
    assert wording.stage_title("something-new") == "something-new"
    assert wording.model_title("student-fp32") == "Student, fp32"
    assert wording.model_title("arm-onnxruntime/raspberry-pi-5") == "INT8 artifact, raspberry-pi-5"


@pytest.mark.parametrize(("length", "text"), [(10, "raspberry"), (9, "raspberry"), (5, "rasp\N{HORIZONTAL ELLIPSIS}")])
def test_shorten(length: int, text: str) -> None:
    assert wording.shorten("raspberry", length=length) == text


def test_what_is_said_of_the_teachers_outputs() -> None:
    record = TeacherOutputsRecord(
        samples=60_000,
        views=1,
        hit_rate=0.25,
        classes=10,
        kept_logits=10,
        logits_bytes=1_200_000,
        features_type="float16",
    )
    assert wording.outputs_text(record) == "60,000 samples in 1 view, 25 % found in the cache; logits 1.20 MB"
    small = record.model_copy(
        update={
            "views": 4,
            "classes": 1000,
            "kept_logits": 128,
            "temperature": 4.0,
            "features_bytes": {"stages.1": 2_000_000},
            "features_type": "int8",
            "errors": {"logits": 0.0312, "features/stages.1": 0.0078},
        }
    )
    assert wording.outputs_text(small) == (
        "60,000 samples in 4 views, 25 % found in the cache; logits 1.20 MB (the 128 largest of 1,000; of the others "
        "their share at T = 4, total variation at most 0.031); 'stages.1' 2.00 MB (int8, relative error at most 0.0078)"
    )
