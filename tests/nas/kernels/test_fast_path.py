"""The compiled loops: gradients against exact ones, and trainings against PyTorch's own."""

from __future__ import annotations

import copy
import platform
import shutil
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.kernels import fast_path
from nas.kernels.depthwise import DepthwiseConv2d, weight_gradient
from nas.kernels.fast_path import accelerate
from nas.kernels.library import library
from nas.kernels.norm import NormActivation, count_batches
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network

ARCH = ArchSpec(
    stages=(
        StageSpec(expand=2, channels=6, kernel=3, layers=2),
        StageSpec(expand=3, channels=10, kernel=5, stride=2, se=0.25),
        StageSpec(expand=3, channels=14, kernel=3, stride=2),
    ),
    stem=StemSpec(channels=6, stride=1),
    head=HeadSpec(32),
    resolution=12,
)

needs_library = pytest.mark.skipif(
    library() is None and (shutil.which("gcc") is None or platform.system() != "Linux"),
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
    assert fast_path.available()


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
@pytest.mark.usefixtures("_one_thread")
def test_the_same_losses_as_the_plain_path_over_fifty_steps() -> None:
    """Within 1 % of the loss: two orders of one sum part slowly, and faster the higher the learning rate."""
    torch.manual_seed(0)
    plain = build_network(ARCH, 10).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    fast = accelerate(copy.deepcopy(plain))
    x = channels_last(128, 3, 12, 12)
    y = (x.mean((1, 2, 3)) * 200).long() % 10

    def losses(network: nn.Module) -> Tensor:
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        found = []
        for step in range(50):
            part = slice(16 * (step % 8), 16 * (step % 8) + 16)
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


@pytest.fixture
def _unchecked() -> Iterator[None]:
    fast_path.available.cache_clear()
    yield
    fast_path.available.cache_clear()


@pytest.mark.usefixtures("_unchecked")
def test_without_the_library_networks_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "library", lambda: None)
    assert type(accelerate(depthwise_conv(8, 3, 1))) is nn.Conv2d


@needs_library
@pytest.mark.usefixtures("_unchecked")
def test_loops_that_disagree_with_pytorch_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(gradient: Tensor, _images: Tensor, *, kernel: int, **_settings: int) -> Tensor:
        return torch.zeros(gradient.shape[1], 1, kernel, kernel)

    monkeypatch.setattr("nas.kernels.depthwise.weight_gradient", wrong)
    assert type(accelerate(depthwise_conv(8, 3, 1))) is nn.Conv2d


ACTIVATIONS: tuple[nn.Module, ...] = (nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.SiLU())


@needs_library
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda module: type(module).__name__)
@pytest.mark.parametrize("shape", [(2, 1, 3, 5), (3, 12, 2, 3), (2, 17, 9, 9), (70, 40, 8, 8)])
def test_norm_and_activation_are_pytorchs_in_float64(shape: tuple[int, ...], activation: nn.Module) -> None:
    norm = nn.BatchNorm2d(shape[1], eps=1e-3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    plain = nn.Sequential(norm, copy.deepcopy(activation))
    ours, exact = accelerate(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    x = channels_last(*shape) * 2 + 5 * torch.randn(shape[1], 1, 1)
    gradient = channels_last(*shape)
    found, wanted = (_with_gradients(network, x, gradient) for network in (ours, exact))
    for ours_part, exact_part in zip(found, wanted, strict=True):
        scale = float(exact_part.detach().abs().max()) + 1e-3
        torch.testing.assert_close(ours_part.double(), exact_part.double(), rtol=0, atol=1e-4 * scale)
    ours.eval()
    torch.testing.assert_close(ours(x), exact.eval()(x.double()).float(), rtol=1e-4, atol=1e-4)


def _with_gradients(network: nn.Module, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """The result, the gradients of input and parameters, and the buffers after one pass."""
    x = x.to(next(network.parameters()).dtype).detach().requires_grad_()
    result = network(x)
    gradients = torch.autograd.grad(result, [x, *network.parameters()], gradient.to(x.dtype))
    count_batches(network, 1)
    return [result, *gradients, *network.buffers()]


@needs_library
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("activation", [nn.Identity(), nn.SiLU()], ids=["none", "silu"])
@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 3, 2, 2), (1, 9, 4, 3)])
def test_norm_gradients_by_finite_differences(shape: tuple[int, ...], activation: nn.Module) -> None:
    network = accelerate(nn.Sequential(nn.BatchNorm2d(shape[1]), activation).double())
    x = channels_last(*shape, dtype=torch.float64).requires_grad_()
    gamma, beta = torch.randn(2, shape[1], dtype=torch.float64).requires_grad_()

    def run(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(network, {"0.weight": gamma, "0.bias": beta}, (x,))
        return result

    torch.autograd.gradcheck(run, (x, gamma, beta))


@needs_library
def test_a_norm_takes_over_the_activation_behind_it_alone() -> None:
    network = nn.Sequential(nn.BatchNorm2d(4), nn.SiLU(), nn.SiLU(), nn.BatchNorm2d(4), nn.GELU())
    keys = list(network.state_dict())
    accelerate(network)
    assert list(network.state_dict()) == keys
    assert [type(module) for module in network] == [NormActivation, nn.Identity, nn.SiLU, NormActivation, nn.GELU]


@needs_library
@pytest.mark.usefixtures("_one_thread")
def test_one_value_a_channel_cannot_be_normalised() -> None:
    network = accelerate(nn.Sequential(nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.randn(1, 4, 1, 1))
