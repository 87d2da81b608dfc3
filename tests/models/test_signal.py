from __future__ import annotations

import torch

from edgedistill.models.signal import SignalConvNet


def test_windows_become_logits() -> None:
    assert SignalConvNet(classes=7, channels=6)(torch.zeros(3, 128, 6)).shape == (3, 7)


def test_each_block_halves_the_time_and_sees_along_it_only() -> None:
    net = SignalConvNet(classes=2, channels=3, width=4, blocks=2).eval()
    features = net.stages(torch.randn(2, 3, 1, 64))
    assert features.shape == (2, 8, 1, 16)
    assert [module.kernel_size for module in net.modules() if isinstance(module, torch.nn.Conv2d)] == [(1, 7), (1, 5)]


def test_the_channels_of_a_window_are_its_last_axis() -> None:
    net = SignalConvNet(classes=2, channels=3, width=4).eval()
    windows = torch.randn(2, 32, 3)
    swapped = windows[:, :, [1, 0, 2]]
    weight = net.stages[0][0].weight
    before = net(windows)
    with torch.no_grad():
        weight.copy_(weight[:, [1, 0, 2]])
    torch.testing.assert_close(net(swapped), before)
