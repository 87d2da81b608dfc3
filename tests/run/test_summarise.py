"""Gates are judged from what the steps found, and a thing that was not run is never a pass."""

from recipes import quick_document

from edgedistill.evaluate.executor import Execution
from edgedistill.recipe import recipe_from_mapping
from edgedistill.run.directory import StepRecord
from edgedistill.run.summarise import summarise
from edgedistill.run.summary import ArtifactRecord, ParityRecord, Rung, Summary

TARGET = "arm-onnxruntime/raspberry-pi-4"


def rung(stage: str, value: float | None, execution: Execution = Execution.SIMULATED) -> dict[str, object]:
    made = Rung(stage=stage, target=TARGET, value=value, n=100, execution=execution, executor="x", note="no emulator")
    return made.model_dump(mode="json")


def artifact(*, equal: int) -> dict[str, object]:
    return ArtifactRecord(
        target="arm-onnxruntime",
        profile="raspberry-pi-4",
        folder="a",
        model="model.onnx",
        files=(),
        fp32_bytes=100,
        readback_tensors=10,
        readback_equal=equal,
    ).model_dump(mode="json")


def pair(*, passed: bool | None) -> dict[str, object]:
    share = None if passed is None else 0.5
    return ParityRecord(
        target=TARGET,
        reference="program",
        reference_execution=Execution.SIMULATED,
        other="runtime",
        other_execution=Execution.NOT_RUN if passed is None else Execution.HOST,
        label="x",
        n=0 if passed is None else 100,
        top1_agreement=share,
        identical_outputs=share,
        within_one_step=share,
        largest_steps=share,
        step=0.1,
        passed=passed,
        note="no emulator",
    ).model_dump(mode="json")


def summary_of(*results: dict[str, object]) -> Summary:
    records = {
        str(index): (StepRecord(name=str(index), key="k", result=result, wall_s=1.0, cpu_s=1.0), "done")
        for index, result in enumerate(results)
    }
    return summarise(recipe_from_mapping(quick_document()), records)  # type: ignore[arg-type] # "done" is a literal


def verdicts(summary: Summary) -> list[bool | None]:
    return [gate.passed for gate in summary.gates]


def test_the_ladder_is_in_the_order_of_the_stages() -> None:
    summary = summary_of({"rungs": [rung("artifact", 0.9)]}, {"rungs": [rung("teacher", 0.95), rung("student", 0.9)]})
    assert [item.stage for item in summary.ladder] == ["teacher", "student", "artifact"]


def test_the_accuracy_gate_compares_with_the_fp32_student() -> None:
    # the quick recipe accepts a loss of 0.2
    good = summary_of({"rungs": [rung("student", 0.9), rung("program", 0.71), rung("artifact", 0.91)]})
    assert verdicts(good) == [True, True]
    assert "19.00 points below" in good.gates[0].found
    assert "1.00 points above" in good.gates[1].found
    assert verdicts(summary_of({"rungs": [rung("student", 0.9), rung("program", 0.69)]})) == [False]


def test_an_artifact_run_on_a_part_is_compared_with_the_student_on_that_part() -> None:
    part = {**rung("artifact", 0.7), "student": 0.95}
    (gate,) = summary_of({"rungs": [rung("student", 0.6), part]}).gates
    assert gate.passed is False
    assert "25.00 points below the fp32 student's 95.00% on the same 100 samples" in gate.found
    lucky = {**rung("artifact", 0.7), "student": 0.71}
    assert verdicts(summary_of({"rungs": [rung("student", 0.95), lucky]})) == [True]


def test_one_tensor_that_differs_fails_the_read_back() -> None:
    assert verdicts(summary_of({"artifact": artifact(equal=10)})) == [True]
    assert verdicts(summary_of({"artifact": artifact(equal=9)})) == [False]


def test_what_was_not_run_is_neither_passed_nor_failed() -> None:
    summary = summary_of(
        {"rungs": [rung("student", 0.9), rung("artifact", None, Execution.NOT_RUN)], "parity": [pair(passed=None)]}
    )
    assert verdicts(summary) == [None, None]
    assert all(gate.found == "no emulator" for gate in summary.gates)


def test_a_failed_comparison_is_a_failed_gate() -> None:
    assert verdicts(summary_of({"parity": [pair(passed=False)]})) == [False]
    assert verdicts(summary_of({"parity": [pair(passed=True)]})) == [True]


def test_notes_are_kept_once() -> None:
    assert summary_of({"notes": ["a", "b"]}, {"notes": ["a"]}).notes == ("a", "b")
