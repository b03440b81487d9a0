"""Chains of norm, gate and convolution, and convolutions of one pixel, against PyTorch's in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nas.kernels.fast_path import accelerate, available
from nas.kernels.gated import GatedSequential
from nas.kernels.pointwise import PointwiseConv2d
from search_spaces import build_network, reference_arch
from search_spaces.network import Gate, GlobalPool

pytestmark = [
    pytest.mark.skipif(not available(), reason="installed without a compiler: the plain path is all there is"),
    pytest.mark.usefixtures("_one_thread"),
]

ACTIVATIONS: tuple[nn.Module, ...] = (nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.SiLU())


def chain(channels: int, out: int, activation: nn.Module, *, gated: bool) -> nn.Sequential:
    squeeze = nn.Sequential(GlobalPool(), nn.Conv2d(channels, 3, 1), nn.SiLU(), nn.Conv2d(3, channels, 1), nn.Sigmoid())
    norm = nn.BatchNorm2d(channels, eps=1e-3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    gate = [Gate(squeeze)] if gated else []
    return nn.Sequential(norm, activation, *gate, nn.Conv2d(channels, out, 1, bias=False))


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def results(network: nn.Module, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """The result, the gradients of input and parameters, and the running statistics after one pass."""
    x = x.to(next(network.parameters()).dtype).detach().requires_grad_()
    result = network(x)
    gradients = torch.autograd.grad(result, [x, *network.parameters()], gradient.to(x.dtype))
    return [result, *gradients, *(buffer for buffer in network.buffers() if buffer.is_floating_point())]


def assert_like_float64(ours: nn.Module, plain: nn.Module, x: Tensor, gradient: Tensor) -> None:
    found, wanted = results(ours, x, gradient), results(copy.deepcopy(plain).double(), x, gradient)
    for ours_part, exact_part in zip(found, wanted, strict=True):
        scale = float(exact_part.detach().abs().max()) + 1e-3
        torch.testing.assert_close(ours_part.double(), exact_part, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda module: type(module).__name__)
@pytest.mark.parametrize(
    "shape", [(2, 1, 3, 5), (3, 5, 3, 3), (2, 17, 9, 9), (3, 10, 4, 6), (70, 36, 8, 8), (3, 33, 1, 1)]
)
def test_chains_are_pytorchs_in_float64(shape: tuple[int, ...], activation: nn.Module, gated: bool) -> None:
    plain = chain(shape[1], 7, copy.deepcopy(activation), gated=gated)
    ours = accelerate(copy.deepcopy(plain))
    assert type(ours) is GatedSequential
    x = images(*shape) * 2 + 5 * torch.randn(shape[1], 1, 1)
    assert_like_float64(ours, plain, x, torch.randn(shape[0], 7, *shape[2:]))
    ours.eval()
    plain.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), plain.eval()(x))


def test_chains_of_more_images_than_fit_into_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.kernels.gated.CHUNK_BYTES", 3 * 12 * 25 * 4)
    plain = chain(12, 5, nn.SiLU(), gated=True)
    assert_like_float64(accelerate(copy.deepcopy(plain)), plain, images(7, 12, 5, 5), torch.randn(7, 5, 5, 5))


def test_a_silu_far_from_zero_is_pytorchs() -> None:
    """Through a norm that leaves the images alone: the values of one channel are -1 and 1, times 100."""
    plain = chain(1, 1, nn.SiLU(), gated=False)
    with torch.no_grad():
        plain[0].weight.fill_(100)  # type: ignore[operator]
        plain[0].bias.zero_()  # type: ignore[operator]
    ours = accelerate(copy.deepcopy(plain))
    x = torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(x), plain(x))


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 9, 4, 3)])
def test_gradients_of_chains_by_finite_differences(shape: tuple[int, ...], gated: bool) -> None:
    network = accelerate(chain(shape[1], 2, nn.SiLU(), gated=gated).double())
    names = [name for name, _ in network.named_parameters()]
    x = images(*shape, dtype=torch.float64).requires_grad_()

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,))
        return result

    torch.autograd.gradcheck(run, (x, *network.parameters()))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outs", [3, 40])
def test_pointwise_convolutions_are_pytorchs_in_float64(outs: int, bias: bool) -> None:
    plain = nn.Sequential(nn.Conv2d(17, outs, 1, bias=bias))
    ours = copy.deepcopy(plain)
    accelerate(ours)
    assert type(ours[0]) is PointwiseConv2d
    assert_like_float64(ours, plain, images(3, 17, 5, 4), torch.randn(3, outs, 5, 4))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 1, stride=2),
        nn.Conv2d(8, 8, 1, padding=1),
        nn.Conv2d(8, 8, 1, groups=2),
        nn.Conv2d(8, 8, (1, 3)),
    ],
)
def test_other_convolutions_stay(conv: nn.Conv2d) -> None:
    accelerate(conv)
    assert type(conv) is nn.Conv2d


def test_names_and_parameters_of_networks_stay() -> None:
    network = build_network(reference_arch("efficientnet_b0"), 10)
    state, parameters = list(network.state_dict()), [id(parameter) for parameter in network.parameters()]
    accelerate(network)
    assert sum(isinstance(module, GatedSequential) for module in network.modules()) == 16
    assert list(network.state_dict()) == state
    assert [id(parameter) for parameter in network.parameters()] == parameters


@pytest.mark.parametrize("part", [0, 2, 3], ids=["norm", "gate", "convolution"])
def test_parts_that_are_not_trained_leave_the_gradients_of_the_others(part: int) -> None:
    plain = chain(12, 5, nn.SiLU(), gated=True)
    plain[part].requires_grad_(False)
    ours = accelerate(copy.deepcopy(plain))
    x = images(4, 12, 6, 6)
    trained = [[p for p in each.parameters() if p.requires_grad] for each in (ours, plain)]
    assert 0 < len(trained[0]) < len(list(plain.parameters()))
    found, wanted = (
        torch.autograd.grad(each(x).square().sum(), p) for each, p in zip((ours, plain), trained, strict=True)
    )
    for gradient, plain_gradient in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, plain_gradient, rtol=1e-3, atol=1e-3 * float(plain_gradient.abs().max()))


def test_plain_paths_are_taken_where_the_loops_do_not_serve() -> None:
    """Another layout, autocast, more threads, no gradients: the same results as PyTorch's, of the same type."""
    plain = chain(12, 5, nn.SiLU(), gated=True)
    ours = accelerate(copy.deepcopy(plain))
    x = torch.randn(4, 12, 6, 6)
    torch.testing.assert_close(ours(x), plain(x))  # what a gate makes of its means has no layout
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == plain(x).dtype == torch.bfloat16
        assert torch.equal(ours(x), plain(x))
    with torch.no_grad():
        assert torch.equal(ours(x), plain(x))
    torch.set_num_threads(2)
    assert torch.equal(ours(x), plain(x))
