"""The paper's recipe against its written rules, and the shared loop against losses that were written down."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.training import loop
from nas.training.objective import Objective
from nas.training.optimizer import Average, make_optimizer, set_rate
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import RECIPES, Staircase, fast, paper
from nas.training.rmsprop import RMSProp
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network
from search_spaces.network import body_and_classifier, freeze_body

ARCH = ArchSpec(
    stages=(StageSpec(expand=2, se=0.25, channels=8, layers=2), StageSpec(expand=2, channels=16, stride=2, layers=2)),
    stem=StemSpec(channels=8, stride=1),
    head=HeadSpec(32),
    resolution=8,
)


# --- RMSProp ---------------------------------------------------------------------------------------------------------


def test_rmsprop_follows_tensorflows_rule() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(7, 5))
    weight = nn.Parameter(torch.tensor(start))
    optimizer = RMSProp([weight], lr=0.1, weight_decay=0.01)
    expected, square, moment = start.copy(), np.ones(5), np.zeros(5)
    for step, gradient in enumerate(gradients):
        rate = 0.1 / (1 + step)
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        pull = gradient + 0.01 * expected
        square = 0.9 * square + 0.1 * pull**2
        moment = 0.9 * moment + rate * pull / np.sqrt(square + 1e-3)
        expected = expected - moment
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


def test_rmsprop_leaves_weights_without_gradient_alone() -> None:
    still, moved = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = RMSProp([still, moved], lr=0.1)
    moved.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(still, torch.ones(3))
    assert (moved < 1).all()


# --- Schedule, groups, average ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "epoch", "rate"),
    [
        (350, 0, 0.0),
        (350, 2.5, 0.008),
        (350, 5, 0.016 * 0.97**2),
        (350, 7.1, 0.016 * 0.97**2),
        (350, 7.3, 0.016 * 0.97**3),
        (350, 349.9, 0.016 * 0.97**145),
        (20, 1, 0.008),
        (20, 2, 0.016),
        (20, 2.5, 0.016 * 0.97),
    ],
)
def test_the_papers_rate(epochs: int, epoch: float, rate: float) -> None:
    assert paper().rate_at(epoch / epochs, 256, epochs) == pytest.approx(rate)
    assert paper().rate_at(epoch / epochs, 64, epochs) == pytest.approx(rate / 4)


@given(st.floats(0, 1), st.integers(1, 400))
def test_a_staircase_stays_between_zero_and_its_peak(progress: float, epochs: int) -> None:
    assert 0 <= Staircase(0.97, 2.4, 5, 0.1).rate(3.0, progress, epochs) <= 3.0


def test_weight_decay_of_the_paper_spares_norms_alone() -> None:
    network = build_network(ARCH, 3)
    decayed, spared = make_optimizer(network, paper()).param_groups
    norms = {id(p) for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    assert {id(p) for p in spared["params"]} == norms
    assert {id(p) for p in decayed["params"]} == {id(p) for p in network.parameters()} - norms
    assert (decayed["weight_decay"], spared["weight_decay"]) == (1e-5, 0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_body_learns_at_its_own_rate(name: str) -> None:
    network = build_network(ARCH, 3)
    optimizer = make_optimizer(network, RECIPES[name](), body_rate=0.1)
    set_rate(optimizer, 2.0)
    same = make_optimizer(network, RECIPES[name]())
    set_rate(same, 2.0)
    rates, full = (
        {id(p): group["lr"] for group in each.param_groups for p in group["params"]} for each in (optimizer, same)
    )
    body, classifier = body_and_classifier(network)
    assert [rates[id(p)] for p in body] == pytest.approx([0.1 * full[id(p)] for p in body])
    assert [rates[id(p)] for p in classifier] == [full[id(p)] for p in classifier]
    assert len(rates) == len(list(network.parameters()))


def test_a_frozen_body_is_not_in_the_optimiser() -> None:
    network = build_network(ARCH, 3)
    freeze_body(network)
    members = [p for group in make_optimizer(network, fast(), 0.1).param_groups for p in group["params"]]
    assert {id(p) for p in members} == {id(p) for p in body_and_classifier(network)[1]}


def test_the_average_follows_tensorflows_rule() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = Average(network, 0.5)
    kept = {key: value.clone().double() for key, value in network.state_dict().items()}
    for step in range(1, 12):
        network.train()(torch.randn(4, 1, 3, 3))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            kept[key] = decay * kept[key] + (1 - decay) * value if value.is_floating_point() else value.double()
    for key, value in average.network.state_dict().items():
        torch.testing.assert_close(value.double(), kept[key], rtol=1e-5, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


# --- The loop --------------------------------------------------------------------------------------------------------


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every step that is taken."""
    seen: list[float] = []
    step = loop.Training.step

    def watch(training: loop.Training, images: Tensor, labels: Tensor, objective: Objective) -> Tensor:
        loss = step(training, images, labels, objective)
        seen.append(loss.item())
        return loss

    monkeypatch.setattr(loop.Training, "step", watch)
    return seen


def test_losses_are_those_of_the_first_loop(losses: list[float], tmp_path: Path) -> None:
    """Written down before the loop was shared; equal to the bit on that machine, to rounding on others."""
    plain: dict[str, Any] = {"se": 0.0}
    arch = replace(ARCH, stages=tuple(replace(stage, **plain) for stage in ARCH.stages))
    digits = open_dataset("digits", tmp_path, train_images=400)
    sgd = replace(fast(), optimizer="sgd", batch_size=128, learning_rate=1.0, weight_decay=5e-4)
    ProxyEvaluator(digits, sgd, threads=1).evaluate(Request(arch, Fidelity(epochs=2)), "cpu", lambda *_: True)
    assert len(losses) == 50
    assert losses[0] == pytest.approx(2.296876907348633, rel=1e-5)
    assert np.mean(losses[:25]) == pytest.approx(2.284038438796997, rel=1e-3)
    assert np.mean(losses[25:]) == pytest.approx(2.013005938529968, rel=1e-2)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_digits(name: str, tmp_path: Path) -> None:
    digits = open_dataset("digits", tmp_path)
    recipe = RECIPES[name]()
    request = Request(
        replace(ARCH, dropout=0.0, drop_path=0.0), Fidelity(epochs={"fast": 3, "paper": 12, "fine_tune": 6}[name])
    )
    outcome = ProxyEvaluator(digits, recipe, threads=1).evaluate(request, "cpu", lambda *_: True)
    assert outcome.accuracy is not None
    assert math.isfinite(outcome.accuracy)
    assert outcome.accuracy > 0.6
