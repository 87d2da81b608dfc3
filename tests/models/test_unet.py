from __future__ import annotations

import pytest
import torch

from edgedistill.errors import ModelError
from edgedistill.models.loading import check_outputs
from edgedistill.models.unet import UNet


@pytest.mark.parametrize(("levels", "depth"), [(1, 1), (3, 1), (4, 2)])
def test_every_pixel_gets_its_logits(levels: int, depth: int) -> None:
    model = UNet(classes=5, channels=2, width=4, levels=levels, depth=depth).eval()
    assert model(torch.zeros(2, 2, 16, 24)).shape == (2, 5, 16, 24)
    check_outputs(model, (2, 16, 24), 5, pixels=(16, 24))


def test_a_pixel_sees_far_beyond_its_neighbours_by_the_lower_levels() -> None:
    torch.manual_seed(0)
    model = UNet(classes=2, channels=1, width=4, levels=3).eval()
    image = torch.randn(1, 1, 32, 32, requires_grad=True)
    model(image)[0, 0, 16, 16].backward()
    assert image.grad is not None
    reached = (image.grad[0, 0].abs() > 0).nonzero()
    assert (reached - 16).abs().max() > 6


def test_a_side_that_does_not_halve_and_a_model_without_maps_are_refused() -> None:
    with pytest.raises(ModelError, match="fails on inputs"):
        check_outputs(UNet(classes=2, channels=1), (1, 18, 16), 2, pixels=(18, 16))
    with pytest.raises(ModelError, match="a class for every pixel"):
        check_outputs(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)), (1, 4, 4), 2, pixels=(4, 4))
