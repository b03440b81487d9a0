"""Muon's two rules against sums that were written out, and what its orthogonalisation promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.training.muon import Muon, orthogonalise
from nas.training.optimizer import make_optimizer, set_rate
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network
from search_spaces.network import body_and_classifier


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
