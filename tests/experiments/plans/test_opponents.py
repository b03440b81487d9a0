"""Opponents: which ways to fit a known network are tried, which one is taken, and where nothing is left to choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import UserError
from experiments.options.groups import REFERENCES
from experiments.options.settings import Settings
from experiments.plans import opponents
from experiments.plans.networks import fitted_arch, network_plans
from experiments.plans.opponents import Entry, best_plan, decided, opponent, plan_requests
from experiments.records import BaselineRecord
from experiments.run.context import RunContext, open_run
from experiments.run.naming import resolve_resolution
from experiments.run.progress import Narrator
from experiments.tables.frontier import SAME_COST
from nas.evaluation import Failure, Fidelity, Outcome
from search_spaces import ArchSpec, fit_arch, reference_arch
from search_spaces.plans import NetworkPlan

ASKED = {"executor": "inline", "devices": "cpu", "train_images": 64, "epochs": 2, "train_fraction": 0.5, "seed": 3}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunContext]:
    with open_run("digits", tmp_path_factory.mktemp("run"), Settings().with_given(ASKED), Narrator()) as run:
        yield run


def of_images(run: RunContext, pixels: int, asked: str = "auto") -> RunContext:
    """The same run on coloured images of so many pixels."""
    resolutions = resolve_resolution(asked, pixels)
    problem = replace(run.problem, resolutions=resolutions, native_size=pixels, cached_size=pixels, channels=3)
    return replace(run, problem=problem)


@pytest.mark.parametrize(
    ("pixels", "asked", "expected"),
    [(8, "auto", (8,)), (32, "auto", (32, 24, 16)), (224, "auto", (224, 168, 112)), (500, "auto", (224, 168, 112)),
     (32, "20", (20,)), (500, "256", (256,)), (500, "max:48", (48, 36, 24))],
)  # fmt: skip
def test_known_networks_run_at_up_to_the_images_own_pixels(
    opened: RunContext, pixels: int, asked: str, expected: tuple[int, ...]
) -> None:
    run = of_images(opened, pixels, asked)
    assert run.resolutions == expected
    assert {plan.arch.resolution for plan in network_plans(run, "plain_resnet", 3e6, run.resolutions)} <= {*expected}


@pytest.mark.parametrize("target", [1e8, 3e8])
@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "mnasnet_a1"])
def test_at_full_size_the_published_plan_stands_alone(opened: RunContext, name: str, target: float) -> None:
    run = of_images(opened, 500)
    entry = opponent(run, name, target)
    assert len(entry.plans) == 1
    assert entry.arch == fit_arch(reference_arch(name), 224, target, num_classes=10)
    assert plan_requests(run, [entry]) == {}


def test_at_another_cost_than_the_baseline_a_known_network_is_another_point(tmp_path: Path) -> None:
    with open_run("digits", tmp_path / "run", Settings().with_given(ASKED), Narrator()) as run:
        assert opponent(run, "plain_resnet", 3e5).label == "plain_resnet"  # no baseline yet
        baseline = opponent(run, "plain_mbconv", 3e5).arch
        run.folder.write(BaselineRecord.given(baseline, 300_000, 10_000, 10))
        labels = {cost: opponent(run, "plain_resnet", cost).label for cost in (2.95e5, 3e5, 6e5)}
        assert labels == {2.95e5: "plain_resnet", 3e5: "plain_resnet", 6e5: "plain_resnet, 600 k"}
        (tmp_path / "own.json").write_text(baseline.to_json())
        own = opponent(run, str(tmp_path / "own.json"), 6e5)
        assert (own.role, own.label, own.arch) == ("given", str(tmp_path / "own.json"), baseline)


@pytest.mark.parametrize("name", REFERENCES)
def test_every_plan_that_compares_is_tried_alike(opened: RunContext, name: str) -> None:
    run, target = of_images(opened, 32), 7e5
    entry = opponent(run, name, target)
    plans = network_plans(run, name, target, run.resolutions)
    assert [plan for plan in plans if abs(run.macs.of(plan.arch) / target - 1) <= SAME_COST] == list(entry.plans)
    asked = plan_requests(run, [entry])
    assert [request.arch for request in asked] == [plan.arch for plan in entry.plans]
    assert {(request.fidelity, request.seed, request.split) for request in asked} == {(Fidelity(2, 0.5), 3, "val")}
    assert list(asked.values()) == [{"network": name, "plan": plan.words} for plan in entry.plans]


def test_a_plan_that_costs_more_stays_where_there_is_no_other(
    opened: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = NetworkPlan(fit_arch(reference_arch("plain_resnet"), 8, 1e6, num_classes=10), "dear")
    monkeypatch.setattr(opponents, "network_plans", lambda *_: (dear,))
    assert opponent(opened, "plain_resnet", 5e5).plans == (dear,)


values = st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0, 1))


@given(st.lists(values, min_size=1, max_size=8))
def test_the_best_plan_is_the_first_of_the_most_accurate(accuracies: list[float | None]) -> None:
    best = best_plan(accuracies)
    reached = [value for value in accuracies if value is not None]
    assert best == (accuracies.index(max(reached)) if reached else 0)


class Said(Narrator):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("reached", "best", "line"),
    [((0.2, 0.412, None), 1, "net: 3 plans tried, best: one (val 41.2 %)"),
     ((0.5, 0.5, 0.1), 0, "net: 3 plans tried, best: zero (val 50.0 %)"),
     ((None, None, None), 0, "net: 3 plans tried, best: zero (none of them could be trained)")],
)  # fmt: skip
def test_the_choice_is_told(opened: RunContext, reached: tuple[float | None, ...], best: int, line: str) -> None:
    archs = [fit_arch(reference_arch("plain_resnet"), 8, target) for target in (4e5, 6e5, 8e5)]
    plans = tuple(NetworkPlan(arch, words) for arch, words in zip(archs, ("zero", "one", "two"), strict=True))
    run = replace(opened, narrator=Said())
    entry = Entry("net", "reference", plans)
    outcomes = {
        request.key: Outcome(failure=Failure("oom", "none left")) if value is None else Outcome(value)
        for request, value in zip(plan_requests(run, [entry]), reached, strict=True)
    }
    assert decided(run, entry, outcomes) == Entry("net", "reference", (plans[best],))
    assert isinstance(run.narrator, Said)
    assert run.narrator.lines == [line]


def test_without_a_training_the_most_promising_plan_is_taken(opened: RunContext) -> None:
    run = replace(of_images(opened, 32), narrator=Said())
    plans = network_plans(run, "efficientnet_b0", 2e6, run.resolutions)
    assert len(plans) > 1
    assert fitted_arch(run, "efficientnet_b0", 2e6, run.resolutions) == plans[0].arch
    assert isinstance(run.narrator, Said)
    assert run.narrator.lines == [f"efficientnet_b0: {plans[0].words}"]


def test_a_file_is_taken_as_it_is(opened: RunContext, tmp_path: Path) -> None:
    arch: ArchSpec = fit_arch(reference_arch("mobilenet_v2"), 8, 3e5)
    (tmp_path / "net.json").write_text(arch.to_json())
    entry = opponent(opened, str(tmp_path / "net.json"), 1e6)
    assert (entry.arch, entry.plan, len(entry.plans)) == (arch, "", 1)
    assert entry.noted == {"network": str(tmp_path / "net.json")}


def test_what_cannot_be_fitted_is_left_out_with_a_line(opened: RunContext) -> None:
    with pytest.raises(UserError, match=r"^resnet20: target of 0\.001 M MACs cannot be reached"):
        opponent(opened, "resnet20", 1e3)
    run = replace(opened, narrator=Said())
    assert [entry.label for entry in opponents.opponents(run, ["resnet20", "plain_resnet"], 1e3)] == []
    assert isinstance(run.narrator, Said)
    assert [line.split(": ")[:3] for line in run.narrator.lines] == [
        ["warning", "left out of the comparison", name] for name in ("resnet20", "plain_resnet")
    ]
