"""The verdict: what was not run is never a pass."""

from edgedistill.evaluate.executor import Execution
from edgedistill.report.verdict import State, headlines_of, verdict_of
from edgedistill.run.summary import Summary

ARROW = "\N{RIGHTWARDS ARROW}"
SPACE = "\N{NO-BREAK SPACE}"


def test_everything_passed(full: Summary) -> None:
    verdict = verdict_of(full)
    assert (verdict.state, verdict.sentence) == (State.PASSED, "All 5 gates passed.")
    assert (verdict.failures, verdict.not_run, verdict.on_device) == ((), (), False)


def test_what_was_not_run_is_no_pass_and_stands_with_its_one_reason(not_run: Summary) -> None:
    verdict = verdict_of(not_run)
    assert (verdict.state, verdict.sentence) == (State.NOT_RUN, "4 of 5 gates passed; 1 not run.")
    (finding,) = verdict.not_run
    assert "qemu-aarch64 is not installed" in finding.reason
    assert [thing.split()[0] for thing in finding.things] == ["gate", "accuracy", "parity"]


def test_a_result_that_was_not_run_outweighs_passed_gates(not_run: Summary) -> None:
    verdict = verdict_of(not_run.model_copy(update={"gates": not_run.gates[:3]}))
    assert (verdict.state, verdict.sentence) == (State.NOT_RUN, "All 3 gates passed, but not everything was run.")


def test_a_failed_gate_fails_the_run(failed: Summary) -> None:
    verdict = verdict_of(failed)
    assert (verdict.state, verdict.sentence) == (State.FAILED, "1 of 5 gates failed.")
    (finding,) = verdict.failures
    assert finding.things == ("gate accuracy of the artifact",)
    assert finding.reason.startswith("found 90.11 %")
    assert verdict.not_run[0].things == ("stage bench",)


def test_a_failed_comparison_fails_a_run_whose_gates_passed(full: Summary) -> None:
    broken = full.parity[0].model_copy(update={"passed": False})
    verdict = verdict_of(full.model_copy(update={"parity": (broken,)}))
    assert (verdict.state, verdict.sentence) == (State.FAILED, "All 5 gates passed, but something else failed.")


def test_a_run_without_gates_proves_nothing(minimal: Summary) -> None:
    assert verdict_of(minimal).state is State.NOT_RUN


def test_a_result_of_the_device_lifts_the_caveat(full: Summary) -> None:
    measured = full.latency[1].model_copy(update={"execution": Execution.DEVICE})
    assert verdict_of(full.model_copy(update={"latency": (measured,)})).on_device


def test_three_numbers(full: Summary) -> None:
    accuracy, size, latency = headlines_of(full)
    assert (accuracy.figure, accuracy.execution) == (f"93.86 {ARROW} 91.98 %", Execution.EMULATED)
    assert size.figure == f"178 kB {ARROW} 52.9 kB"
    assert size.detail.startswith("3.37\N{MULTIPLICATION SIGN} smaller")
    assert (latency.figure, latency.execution) == ("0.312 ms", Execution.HOST)
    assert f"0.521{SPACE}ms, 1.67\N{MULTIPLICATION SIGN} as long" in latency.detail


def test_the_accuracy_is_the_last_rung_that_ran(not_run: Summary) -> None:
    assert headlines_of(not_run)[0].execution is Execution.HOST


def test_medians_whose_intervals_meet_are_not_compared(full: Summary) -> None:
    slow = full.latency[0].model_copy(update={"p50_ci95_ms": (0.30, 0.53)})
    assert headlines_of(full.model_copy(update={"latency": (slow, full.latency[1])}))[2].detail.endswith(
        "no clear difference"
    )


def test_an_artifact_is_compared_with_the_student_beside_which_it_was_measured(full: Summary) -> None:
    other = full.latency[0].model_copy(update={"p50_ms": 9.0, "p50_ci95_ms": (9.0, 9.0)})
    away = full.latency[1].model_copy(update={"model": "other/board"})
    swapped = full.model_copy(update={"latency": (other, away, *full.latency)})
    assert f"fp32 student 0.521{SPACE}ms" in headlines_of(swapped)[2].detail


def test_nothing_to_say_is_said(minimal: Summary) -> None:
    assert [item.figure for item in headlines_of(minimal)] == ["not run", "not built", "not measured"]


def test_the_headline_sets_no_values_of_unlike_samples_side_by_side(full: Summary) -> None:
    part = [rung.model_copy(update={"n": 200}) if rung.stage == "artifact" else rung for rung in full.ladder]
    accuracy = headlines_of(full.model_copy(update={"ladder": tuple(part)}))[0]
    assert "\N{RIGHTWARDS ARROW}" not in accuracy.figure
    assert accuracy.detail.startswith("artifact, n = 200; teacher ")
    assert "points" not in accuracy.detail
