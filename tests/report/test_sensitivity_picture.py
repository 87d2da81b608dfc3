"""One row a layer, the noisiest when there are many."""

from edgedistill.report.sensitivity_picture import MAX_ROWS, draw_sensitivity
from edgedistill.run.summary import FloatLayerRecord, SensitivityRecord


def record(index: int, sqnr_db: float) -> SensitivityRecord:
    return SensitivityRecord(
        spec="s",
        node=f"conv2d_{index}",
        layer=f"layer<{index}>",
        alone_sqnr_db=sqnr_db,
        alone_agreement=1.0,
        others_sqnr_db=30.0,
        others_agreement=1.0,
    )


def test_each_layer_has_a_dot_and_one_in_float_is_hollow() -> None:
    kept = FloatLayerRecord(spec="s", node="conv2d_1", layer="b", accuracy_before=0.5, accuracy_after=0.6)
    drawn = draw_sensitivity([record(0, 20.0), record(1, 40.0)], [kept], width=690).__html__()
    assert drawn.count("<circle") == 2
    assert drawn.count('class="ring c-student"') == 1
    assert "layer&lt;0&gt;" in drawn


def test_of_many_layers_the_noisiest_are_shown_in_the_models_order() -> None:
    drawn = draw_sensitivity([record(index, 100.0 - index) for index in range(MAX_ROWS + 5)], width=690).__html__()
    assert drawn.count("<circle") == MAX_ROWS
    assert "layer&lt;4&gt;" not in drawn
    assert drawn.index("layer&lt;5&gt;") < drawn.index("layer&lt;6&gt;")


def test_equal_layers_and_long_names_are_drawn() -> None:
    long = record(0, 30.0).model_copy(update={"layer": "a" * 60})
    drawn = draw_sensitivity([long, record(1, 30.0)], width=330).__html__()
    assert "…" in drawn
    assert "a" * 40 not in drawn
