"""The confusion matrix: strengths of colour, and the pairs that are confused most."""

from edgedistill.report.confusion import confused_pairs, confusion_rows
from edgedistill.run.summary import Confusion

CONFUSION = Confusion(stage="artifact", counts=((90, 8, 2), (0, 100, 0), (0, 0, 0)))


def test_right_answers_by_share_and_wrong_ones_by_root_against_the_worst() -> None:
    first, second, third = confusion_rows(CONFUSION, ("a", "b", "c"))
    assert [cell.strength for cell in first.cells] == [90, 100, 50]
    assert [cell.right for cell in first.cells] == [True, False, False]
    assert [cell.samples for cell in first.cells] == [90, 8, 2]
    assert (first.recall, second.recall, third.recall) == (0.9, 1.0, None)


def test_a_perfect_model_has_no_confusion() -> None:
    perfect = Confusion(stage="artifact", counts=((5, 0), (0, 5)))
    assert [[cell.strength for cell in row.cells] for row in confusion_rows(perfect, ("a", "b"))] == [
        [100, 0],
        [0, 100],
    ]
    assert confused_pairs(perfect, ("a", "b")) == ()


def test_pairs_come_by_count() -> None:
    assert confused_pairs(CONFUSION, ("a", "b", "c")) == (("a", "b", 8, 0.08), ("a", "c", 2, 0.02))


def test_classes_without_names_have_numbers() -> None:
    assert [row.name for row in confusion_rows(CONFUSION, ())] == ["class 0", "class 1", "class 2"]
