"""Every kernel's outputs on the emulated board, computed there once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from board import first_outputs
from kernel_cases import CASES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def outputs_on_the_board() -> dict[str, NDArray[np.generic]]:
    return first_outputs({case.name: (case.model(), case.feed()) for case in CASES})
