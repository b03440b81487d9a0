"""Muon's two rules against sums that were written out, and what its orthogonalisation promises."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.training.muon import Muon
from nas.training.optimizer import make_optimizer, set_rate
from nas.training.orthogonal import Orthogonaliser
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network
from search_spaces.network import body_and_classifier


def orthogonalise(matrices: Sequence[Tensor], scales: Sequence[float] = ()) -> list[Tensor]:
    """The matrices' results; they lie one after another, each second one by columns."""
    ends = list(accumulate(matrix.numel() for matrix in matrices))
    places = [
        torch.arange(end - matrix.numel(), end).view(matrix.shape if i % 2 == 0 else matrix.mT.shape)
        for i, (matrix, end) in enumerate(zip(matrices, ends, strict=True))
    ]
    places = [place if i % 2 == 0 else place.mT for i, place in enumerate(places)]
    values = matrices[0].new_zeros(ends[-1] + 1)
    for matrix, place in zip(matrices, places, strict=True):
        values[place] = matrix
    result = torch.empty_like(values[:-1])
    Orthogonaliser(places, scales or [1.0] * len(places), len(result), values.dtype)(values, out=result)
    return [result[place] for place in places]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 24), st.integers(1, 24), st.integers(0, 1000))
def test_orthogonalised_matrices_have_singular_values_near_one(n: int, rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(n, rows, rows, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(n, columns, columns, generator=generator))[0]
    short = min(rows, columns)
    values = torch.diag_embed(torch.rand(n, short, generator=generator) + 0.2)
    matrices = left[:, :, :short] @ values @ right[:, :short]
    found = torch.linalg.svdvals(torch.stack(orthogonalise(list(matrices))))
    assert found.min() > 0.5
    assert found.max() < 1.3


def test_orthogonalising_keeps_the_directions_and_moves_the_values_by_the_quintic() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 9, generator=generator, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / matrix.norm()
    for _ in range(4):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    torch.testing.assert_close(orthogonalise([matrix])[0], left @ torch.diag(values) @ right)


def test_many_are_orthogonalised_as_each_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 3), (3, 6), (1, 12), (8, 8), (9, 2), (24, 40), (5, 100), (6, 3)]
    matrices = [10**i * torch.randn(shape, generator=generator) for i, shape in enumerate(shapes, -4)]
    for found, matrix in zip(orthogonalise(matrices), matrices, strict=True):
        torch.testing.assert_close(found, orthogonalise([matrix])[0])


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonalise([torch.zeros(3, 4)])[0], torch.zeros(3, 4))


def test_results_are_scaled_each_by_its_own_factor() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in [(3, 70), (40, 5), (3, 70), (4, 4)]]
    scaled = orthogonalise(matrices, [1.0, 2.0, 3.0, 0.5])
    for found, alone, scale in zip(scaled, orthogonalise(matrices), (1.0, 2.0, 3.0, 0.5), strict=True):
        torch.testing.assert_close(found, scale * alone)


def test_one_step_after_another_forgets_the_matrices_before() -> None:
    """The tensors in which they are computed are used again."""
    places = [torch.arange(12).view(3, 4), torch.arange(12, 32).view(5, 4)]
    first, second = (torch.cat([torch.randn(32), torch.zeros(1)]) for _ in range(2))
    orthogonaliser, out = Orthogonaliser(places, [1.0, 1.0], 32, torch.float32), torch.empty(32)
    orthogonaliser(first, out=out)
    orthogonaliser(second, out=out)
    for place in places:
        torch.testing.assert_close(out[place], orthogonalise([second[place]])[0])


def test_the_other_parameters_go_by_adam() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(6, 5))
    mine, theirs = (nn.Parameter(torch.tensor(start)) for _ in range(2))
    optimizers = Muon([mine], lr=0.1, weight_decay=0.2), torch.optim.AdamW([theirs], 0.1, (0.9, 0.99), weight_decay=0.2)
    for gradient in gradients:
        for weight, optimizer in zip((mine, theirs), optimizers, strict=True):
            weight.grad = torch.tensor(gradient)
            optimizer.step()
    torch.testing.assert_close(mine, theirs)


def test_a_matrix_moves_by_the_orthogonalised_mix_of_gradient_and_moment() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 2, 1, 3, generator=generator))
    expected, moment = weight.detach().clone(), torch.zeros_like(weight)
    optimizer = Muon([{"params": [weight], "matrices": True}], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        gradient = torch.randn(weight.shape, generator=generator)
        weight.grad = gradient.clone()
        optimizer.step()
        moment = 0.9 * moment + 0.1 * gradient
        step = orthogonalise([(0.1 * gradient + 0.9 * moment).reshape(8, 6)])[0].reshape(weight.shape)
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * (8 / 6) ** 0.5 * step
    torch.testing.assert_close(weight.detach(), expected)


def test_fifty_steps_lose_what_steps_of_one_matrix_after_another_do() -> None:
    """Batches of filled-up matrices add the same numbers in another order, which changes nothing but roundings."""

    def losses(step: Callable[[list[nn.Parameter]], None]) -> Tensor:
        torch.manual_seed(0)
        stage = StageSpec(expand=3, channels=12, layers=2, se=0.25)
        network = build_network(ArchSpec((stage,), StemSpec(8), HeadSpec(20), resolution=8), 4).double()
        images, labels = torch.randn(32, 3, 8, 8, dtype=torch.float64), torch.arange(32) % 4
        weights = [p for p in network.parameters() if p.ndim > 1 and p.shape[1] > 1]
        found = []
        for _ in range(50):
            loss = nn.functional.cross_entropy(network(images), labels)
            network.zero_grad()
            loss.backward()
            step(weights)
            found.append(loss.detach())
        return torch.stack(found)

    moments: dict[nn.Parameter, Tensor] = {}

    @torch.no_grad()
    def plainly(weights: list[nn.Parameter]) -> None:
        for weight in weights:
            assert weight.grad is not None
            moment = moments[weight] = 0.9 * moments.get(weight, 0) + 0.1 * weight.grad
            x = (0.1 * weight.grad + 0.9 * moment).flatten(1)
            x = x / x.norm().clamp_min(1e-7)
            for _ in range(4):
                square = x @ x.mT
                x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
            rows, columns = x.shape
            weight.sub_(0.02 * max(1.0, rows / columns) ** 0.5 * x.view(weight.shape))

    optimizers: list[Muon] = []

    def batched(weights: list[nn.Parameter]) -> None:
        if not optimizers:
            optimizers.append(Muon([{"params": weights, "matrices": True}], lr=0.02))
        optimizers[0].step()

    found, wanted = losses(batched), losses(plainly)
    assert wanted[-1] < 0.5 * wanted[0]
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


def test_filters_that_mix_channels_are_matrices_and_the_classifier_is_not() -> None:
    arch = ArchSpec((StageSpec(expand=2, channels=8),), StemSpec(8, stride=1), HeadSpec(16), resolution=8)
    network = build_network(arch, 3)
    optimizer = make_optimizer(network, fast())
    matrices = {id(p) for group in optimizer.param_groups if group["matrices"] for p in group["params"]}
    depthwise = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1}
    body, _ = body_and_classifier(network)
    assert matrices == {id(p) for p in body if p.ndim > 1} - depthwise
    set_rate(optimizer, 1.0)
    assert {(group["matrices"], group["lr"]) for group in optimizer.param_groups} == {(True, 1.0), (False, 0.3)}


def test_parameters_without_gradient_stay() -> None:
    still, moved = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    optimizer = Muon([{"params": [still, moved], "matrices": True}], lr=0.1, weight_decay=0.1)
    moved.grad = torch.eye(3)
    optimizer.step()
    assert torch.equal(still, torch.ones(3, 3))
    assert not torch.equal(moved, torch.ones(3, 3))
    assert moved.detach().norm() == pytest.approx(3, abs=0.5)


def test_moments_go_on_after_a_state_was_loaded_or_other_weights_have_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in [(6, 4, 3, 3), (4, 8)]]
    gradients = [[torch.randn(each.shape, generator=generator) for each in start] for _ in range(5)]

    def run(*, reload: bool) -> list[Tensor]:
        weights = [nn.Parameter(each.clone().contiguous(memory_format=torch.channels_last) if each.ndim == 4
                                else each.clone()) for each in start]  # fmt: skip
        optimizer = Muon([{"params": weights, "matrices": True}], lr=0.1)
        for step, now in enumerate(gradients):
            for weight, gradient in zip(weights, now, strict=True):
                weight.grad = gradient.clone()
            if step == 2:
                weights[0].grad = None
            if reload:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = Muon([{"params": weights, "matrices": True}], lr=0.1)
                optimizer.load_state_dict(state)
            optimizer.step()
        return [weight.detach() for weight in weights]

    for kept, reloaded in zip(run(reload=False), run(reload=True), strict=True):
        assert torch.equal(kept, reloaded)
