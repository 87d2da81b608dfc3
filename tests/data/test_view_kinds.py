from __future__ import annotations

import pytest

from edgedistill.data.view_kinds import KINDS_WITH, PLURALS, refuse_other_views
from edgedistill.errors import DataError
from edgedistill.recipe import AudioViews, Views

ASKED = {
    "flip": True,
    "shift": 1,
    "crop": 0.5,
    "mixup": 1.0,
    "noise": 0.1,
    "gain": 0.1,
    "drop_words": 0.1,
    "audio": AudioViews(gain_db=3.0),
}


def test_every_variation_of_the_recipe_is_known() -> None:
    assert set(KINDS_WITH) == set(Views.model_fields) - {"count"} == set(ASKED)


@pytest.mark.parametrize("kind", PLURALS)
@pytest.mark.parametrize("name", ASKED)
def test_a_variation_is_had_or_refused_with_what_there_is(kind: str, name: str) -> None:
    views = Views(**{name: ASKED[name]})
    if kind in KINDS_WITH[name]:
        refuse_other_views(kind, views)
        return
    own = next(other for other, kinds in KINDS_WITH.items() if kind in kinds)
    with pytest.raises(DataError, match=rf"'data.views.{name}': the samples are {PLURALS[kind]}.*data.views.{own}"):
        refuse_other_views(kind, views)


@pytest.mark.parametrize("kind", PLURALS)
def test_views_that_vary_nothing_are_always_had(kind: str) -> None:
    refuse_other_views(kind, Views(count=3))
