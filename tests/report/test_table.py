"""The ladder as rows, for the page and the terminal."""

import subprocess
import sys

from edgedistill.evaluate.executor import Execution
from edgedistill.report.table import ladder_rows
from edgedistill.run.summary import Summary

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def test_a_row_reads_as_people_read_it(full: Summary) -> None:
    rows = ladder_rows(full)
    assert [row.step for row in rows] == [
        *("Teacher", "Student alone", "Student, distilled", "INT8 program", "Artifact", "Artifact")
    ]
    emulated = rows[-1]
    assert (emulated.value, emulated.interval) == ("91.98 %", f"91.43{DASH}92.50 %")
    assert (emulated.against_teacher, emulated.n, emulated.parameters) == (f"{MINUS}1.88", "10,000", "43,978")
    assert (emulated.size, emulated.badge, emulated.execution) == ("52.9 kB", "emulated CPU", Execution.EMULATED)
    assert emulated.target == "arm-onnxruntime/raspberry-pi-5"
    assert "QEMU" in emulated.executor


def test_nothing_run_is_nothing_claimed(not_run: Summary) -> None:
    row = ladder_rows(not_run)[-1]
    assert (row.value, row.badge) == ("not run", "not run")
    assert {row.interval, row.against_teacher, row.n, row.size} == {"\N{EM DASH}"}
    assert "qemu-aarch64 is not installed" in row.note


def test_another_metric_has_no_binomial_interval(full: Summary) -> None:
    rung = full.ladder[-1].model_copy(update={"metric": "mIoU", "value": 0.6123})
    row = ladder_rows(full.model_copy(update={"ladder": (full.ladder[0], rung)}))[-1]
    assert (row.value, row.interval, row.against_teacher) == ("mIoU 0.612", "\N{EM DASH}", "\N{EM DASH}")


def test_no_ladder_no_rows(minimal: Summary) -> None:
    assert ladder_rows(minimal) == ()


def test_neither_the_table_nor_the_page_loads_torch() -> None:
    code = "import sys, edgedistill.report.table, edgedistill.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
