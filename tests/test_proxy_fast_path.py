"""The compiled depthwise loops: gradients against exact ones, and trainings against PyTorch's own."""

from __future__ import annotations

import copy
import platform
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.proxy import depthwise
from nas.proxy.depthwise import DepthwiseConv2d, accelerate, weight_gradient
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network

ARCH = ArchSpec(
    stages=(
        StageSpec(expand=2, channels=6, kernel=3, layers=2, se=0.25),
        StageSpec(expand=3, channels=10, kernel=5, stride=2, layers=2, se=0.25),
        StageSpec(expand=3, channels=14, kernel=3, stride=2, layers=2),
    ),
    stem=StemSpec(channels=6, stride=1),
    head=HeadSpec(32),
    resolution=12,
)

needs_library = pytest.mark.skipif(
    depthwise._library() is None and (shutil.which("gcc") is None or platform.system() != "Linux"),
    reason="installed without a compiler: the plain path is all there is",
)


def depthwise_conv(channels: int, kernel: int, stride: int, padding: int | None = None) -> nn.Conv2d:
    pad = kernel // 2 if padding is None else padding
    return nn.Conv2d(channels, channels, kernel, stride, pad, groups=channels, bias=False)


def channels_last(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def exact_weight_gradient(gradient: Tensor, images: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The definition, tap by tap, in float64."""
    padded = F.pad(images.double(), [padding] * 4)
    height, width = gradient.shape[2:]
    taps = [
        (padded[:, :, i : i + stride * height : stride, j : j + stride * width : stride][:, :, :height, :width]
         * gradient.double()).sum((0, 2, 3))
        for i in range(kernel) for j in range(kernel)
    ]  # fmt: skip
    return torch.stack(taps, 1).reshape(-1, 1, kernel, kernel)


@needs_library
def test_the_loops_are_there_and_pass_their_check() -> None:
    assert depthwise.available()


@needs_library
@settings(max_examples=100, deadline=None)
@given(
    images=st.integers(1, 3), channels=st.integers(1, 40), height=st.integers(1, 40), width=st.integers(1, 40),
    kernel=st.sampled_from([1, 3, 5, 7, 9]), stride=st.integers(1, 3), less=st.integers(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_weight_gradient_is_the_definition_for_any_shape(  # noqa: PLR0917
    images: int, channels: int, height: int, width: int, kernel: int, stride: int, less: int, dtype: torch.dtype
) -> None:
    padding = max(0, kernel // 2 - less)
    conv = depthwise_conv(channels, kernel, stride, padding).to(dtype)
    x = channels_last(images, channels, max(height, kernel), max(width, kernel), dtype=dtype)
    gradient = torch.randn_like(conv(x)).contiguous(memory_format=torch.channels_last)
    found = weight_gradient(gradient, x, kernel=kernel, stride=stride, padding=padding)
    exact = exact_weight_gradient(gradient, x, kernel, stride, padding)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=tolerance * (1 + float(exact.abs().max())))


@needs_library
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (1, 9, 4, 3), (2, 12, 3, 3)])
def test_gradients_by_finite_differences(kernel: int, stride: int, shape: tuple[int, ...]) -> None:
    conv = depthwise_conv(shape[1], kernel, stride).double()
    accelerate(conv)
    assert isinstance(conv, DepthwiseConv2d)
    x = channels_last(*shape, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(conv, {"weight": w}, (x,)), (x, conv.weight))


@needs_library
def test_strips_of_large_images_add_up() -> None:
    x, gradient = channels_last(2, 17, 150, 130), channels_last(2, 17, 75, 65)
    exact = exact_weight_gradient(gradient, x, 5, 2, 2)
    found = weight_gradient(gradient, x, kernel=5, stride=2, padding=2)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))


@needs_library
def test_the_same_losses_as_the_plain_path_over_fifty_steps() -> None:
    """Within 1 % of the loss: two orders of one sum part slowly, and faster the higher the learning rate."""
    torch.manual_seed(0)
    plain = build_network(ARCH, 10).to(memory_format=torch.channels_last).train()
    fast = accelerate(copy.deepcopy(plain))
    x = channels_last(256, 3, 12, 12)
    y = (x.mean((1, 2, 3)) * 200).long() % 10

    def losses(network: nn.Module) -> Tensor:
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        found = []
        for step in range(50):
            part = slice(32 * (step % 8), 32 * (step % 8) + 32)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x[part]), y[part])
            loss.backward()
            optimizer.step()
            found.append(loss.detach())
        return torch.stack(found)

    ours, theirs = losses(fast), losses(plain)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(ours, theirs, rtol=0.01, atol=0)
    assert theirs[-8:].mean() < theirs[:8].mean()


@needs_library
def test_only_depthwise_convolutions_change_and_no_name_does() -> None:
    network = build_network(ARCH, 10)
    keys = list(network.state_dict())
    parameters = [id(parameter) for parameter in network.parameters()]
    accelerate(network)
    assert list(network.state_dict()) == keys
    assert [id(parameter) for parameter in network.parameters()] == parameters
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert {conv.groups > 1 for conv in convs if isinstance(conv, DepthwiseConv2d)} == {True}
    assert {conv.groups > 1 for conv in convs if not isinstance(conv, DepthwiseConv2d)} == {False}


@needs_library
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, (3, 5), padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False),
    ],
)
def test_other_convolutions_are_left_alone(conv: nn.Conv2d) -> None:
    accelerate(conv)
    assert type(conv) is nn.Conv2d


@needs_library
def test_images_in_another_layout_take_the_plain_path() -> None:
    conv = depthwise_conv(8, 3, 1)
    x = torch.randn(2, 8, 6, 6)
    plain = conv(x)
    accelerate(conv)
    assert torch.equal(conv(x), plain)
    conv(x).square().sum().backward()
    assert conv.weight.grad is not None


def test_without_the_library_networks_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "_library", lambda: None)
    depthwise.available.cache_clear()
    conv = depthwise_conv(8, 3, 1)
    assert type(accelerate(conv)) is nn.Conv2d
    monkeypatch.undo()
    depthwise.available.cache_clear()


@needs_library
def test_loops_that_disagree_with_pytorch_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "weight_gradient", lambda *_, **__: torch.zeros(20, 1, 5, 5))
    depthwise.available.cache_clear()
    assert type(accelerate(depthwise_conv(8, 3, 1))) is nn.Conv2d
    monkeypatch.undo()
    depthwise.available.cache_clear()
