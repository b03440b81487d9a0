"""The fidelity check: taus and intervals against what is known, and the command over made-up trainings."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import kendalltau

from experiments.options.plans import FidelityPlan
from experiments.steps.fidelity import BAND, long_fidelity, parse_short, pick_candidates, short_trainings
from nas.data.dataset import Dataset
from nas.evaluation import Failure, Fidelity, Outcome, Report, Request
from nas.figures import MultiplyAdds
from nas.rank_fidelity import Agreement, Floats, Short, kendall_tau, measure_agreement
from search_spaces import count_macs, mnasnet_space
from tests.helpers.command import Run, expect_mistake
from tests.helpers.evaluators import note

ONE, TWO = Short(Fidelity(1)), Short(Fidelity(2))

# --- Taus ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=12))
def test_tau_of_a_sample_is_scipys_of_its_members(drawn: list[tuple[int, int, int]]) -> None:
    x, y, counts = (np.array(column, float) for column in zip(*drawn, strict=True))
    found = kendall_tau(x, y, counts[None])[0]
    repeated = [np.repeat(values, counts.astype(int)) for values in (x, y)]
    wanted = kendalltau(*repeated).statistic if counts.sum() > 1 else math.nan
    assert found == pytest.approx(0.0 if math.isnan(wanted) else wanted, abs=1e-12)


def normal(n: int, noise: float, seeds: int, rng: np.random.Generator, truth: Floats) -> Floats:
    return np.asarray(truth[:, None] + noise * rng.normal(size=(n, seeds)))


def tau_of(correlation: float) -> float:
    return 2 / math.pi * math.asin(correlation)


def test_figures_of_a_known_model_are_found() -> None:
    rng = np.random.default_rng(0)
    n = 400
    truth = rng.normal(size=n)
    short, long = normal(n, 0.7, 3, rng, truth), normal(n, 0.4, 2, rng, truth)
    found = measure_agreement({ONE: short}, {"MACs": rng.normal(size=n)}, long)
    reliable = {"one": 1 / (1 + 0.49), "mean": 1 / (1 + 0.49 / 3), "long": 1 / (1 + 0.16 / 2)}
    one, mean, macs = found.stand_ins
    (ceiling,) = found.ceilings
    # The stand-in measures nothing but the truth, so that its tau is its ceiling.
    for estimate, name in ((one.tau, "one"), (ceiling.one, "one"), (mean.tau, "mean"), (ceiling.mean, "mean")):
        assert estimate.value == pytest.approx(tau_of(math.sqrt(reliable[name] * reliable["long"])), abs=0.06)
        assert estimate.low < estimate.value < estimate.high
    assert ceiling.repeats.value == pytest.approx(tau_of(reliable["one"]), abs=0.06)
    assert found.long_repeats is not None
    assert found.long_repeats.value == pytest.approx(tau_of(1 / 1.16), abs=0.06)
    assert abs(macs.tau.value) < 0.08
    assert macs.gain is None
    assert one.gain is not None
    assert one.gain.value == pytest.approx(one.tau.value - macs.tau.value)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    true, hits = tau_of(1 / math.sqrt(1.49 * 1.16)), 0
    for _ in range(200):
        truth = rng.normal(size=20)
        found = measure_agreement({ONE: normal(20, 0.7, 1, rng, truth)}, {}, normal(20, 0.4, 1, rng, truth))
        hits += found.stand_ins[0].tau.low <= true <= found.stand_ins[0].tau.high
    assert 0.82 < hits / 200 < 0.97


def test_without_noise_the_ceiling_is_one() -> None:
    values = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    found = measure_agreement({ONE: values}, {}, values[:, :1])
    assert {found.stand_ins[0].tau.value, found.ceilings[0].one.value, found.ceilings[0].mean.value} == {1.0}


def test_the_cheapest_that_reaches_the_bar_is_recommended() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=60)
    short = {ONE: normal(60, 1.5, 2, rng, truth), TWO: normal(60, 0.3, 2, rng, truth)}
    found = measure_agreement(short, {"MACs": truth}, truth[:, None])
    by_name = {each.name: each for each in found.stand_ins}
    assert found.recommended(0.7) == by_name["2 epochs, one seed"]  # the mean of two costs twice as much
    assert found.recommended(0.999) is None  # MACs are no training
    assert found.recommended(0.1) == by_name["1 epoch, one seed"]
    assert Agreement((), (), None).recommended(0.1) is None
    # What begins from scratch where the long one does not is judged, but no search trains so.
    scratch = Short(Fidelity(1), from_scratch=True)
    found = measure_agreement({scratch: truth[:, None].repeat(2, 1), **short}, {"MACs": truth}, truth[:, None])
    first, ceiling = found.stand_ins[0], found.ceilings[0]
    assert (first.name, first.tau.value) == ("1 epoch, from scratch, one seed", 1.0)
    assert (first.training, ceiling.training, found.stand_ins[-1].training) == (scratch, scratch, None)
    assert found.recommended(0.7) == by_name["2 epochs, one seed"]


def test_too_few_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        measure_agreement({ONE: np.ones((3, 1))}, {}, np.ones((3, 1)))


# --- What is trained -----------------------------------------------------------------------------------------------


def test_candidates_spread_over_the_band_and_more_include_the_fewer() -> None:
    space = mnasnet_space(1e6, 16, num_classes=10)
    some, more = (pick_candidates(space, n, 1e6, MultiplyAdds(10), seed=3) for n in (20, 31))
    assert more[:20] == some
    assert len({arch.id for arch in more}) == 31
    places = sorted(math.log(count_macs(arch, None, 10) / 1e6) / math.log(BAND) for arch in some)
    assert places[0] >= -1
    assert places[-1] <= 1
    # Evenly: no two neighbours are further apart than three times the mean distance.
    assert max(np.diff([-1, *places, 1])) < 3 * 2 / 20
    assert pick_candidates(space, 5, 1e15, MultiplyAdds(10), seed=3) == []


def test_lengths_are_read_and_the_long_one_is_eight_times_the_longest() -> None:
    half = Short(Fidelity(3, 0.5))
    assert parse_short("3") == Short(Fidelity(3))
    assert parse_short("3:0.5") == half
    assert parse_short("3:1:scratch") == Short(Fidelity(3), from_scratch=True)
    plan = FidelityPlan(fidelity=("3:0.5", "2"))
    assert short_trainings(plan, Fidelity(2)) == (Short(Fidelity(2)), half)
    assert long_fidelity(plan, Fidelity(2)) == Fidelity(16)


# --- The command ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MadeUp:
    """A network's accuracy is a number of its own, with noise that shrinks as the training grows."""

    log: str
    fail: Callable[[Request], bool] = lambda _: False

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        note(self.log, f"begin {request.key}")
        if self.fail(request):
            return Outcome(failure=Failure("diverged", "as asked"))
        truth = zlib.crc32(request.arch.id.encode()) / 2**32
        noise = (zlib.crc32(request.key.encode()) / 2**32 - 0.5) / request.fidelity.epochs
        return Outcome(accuracy=0.3 + 0.3 * truth + 0.2 * noise)


def made_up(dataset: Dataset) -> MadeUp:
    return MadeUp(str(dataset.images_path.parents[2] / "log"))


def partly_failing(dataset: Dataset) -> MadeUp:
    return MadeUp(str(dataset.images_path.parents[2] / "log"), lambda request: request.arch.id < "4")


def options(folder: Path, *more: str, evaluator: str = "made_up") -> tuple[str, ...]:
    return (
        "fidelity", "digits", "--run", str(folder), "--executor", "inline", "--devices", "cpu", "--target-macs", "1M",
        "--evaluator", f"tests.experiments.steps.test_fidelity:{evaluator}", "--epochs", "2", "--fidelity", "1", *more,
    )  # fmt: skip


def trained(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_the_command_trains_compares_and_goes_on(tmp_path: Path, scalenas: Run) -> None:
    command = options(tmp_path, "--candidates", "6", "--arch", "mobilenet_v2", "--final-seeds", "2", "--json")
    status, out, err = scalenas(*command)
    assert status == 0, err
    record = json.loads(out)
    assert record == json.loads((tmp_path / "fidelity.json").read_text())
    assert "ranks networks as a long one does" in (tmp_path / "report.html").read_text()
    table = pd.read_csv(tmp_path / "fidelity.csv")
    # 7 networks at two short lengths with two seeds each and a long one with two more.
    assert len(table) == len(trained(tmp_path)) == len(set(trained(tmp_path))) == 7 * (2 * 2 + 2)
    assert set(table.epochs) == {1, 2, 16}
    seeds = table.groupby("training").seed.unique().map(set)
    assert seeds["long"].isdisjoint(seeds["short"])
    wide = table.pivot_table(index="network", columns=["epochs", "seed"], values="accuracy")
    long = wide[16].T.mean()
    by_name = {each["name"]: each for each in record["stand_ins"]}
    wanted = np.mean([kendalltau(wide[2][seed], long).statistic for seed in (0, 1)])
    assert by_name["2 epochs, one seed"]["tau"]["value"] == pytest.approx(wanted)
    assert by_name["1 epoch, mean of 2 seeds"]["tau"]["value"] == pytest.approx(
        kendalltau(wide[1].T.mean(), long).statistic
    )
    macs = table.groupby("network").macs.first()
    assert by_name["MACs alone"]["tau"]["value"] == pytest.approx(kendalltau(macs, long).statistic)
    assert record["verdict"][-1].startswith("recommendation: ")
    assert record["verdict"][-1] in err
    with Image.open(tmp_path / "fidelity.png") as picture:
        assert picture.width > 800
    assert "<svg" in (tmp_path / "fidelity.svg").read_text()

    begun = len(trained(tmp_path))
    assert scalenas(*command)[0] == 0
    assert len(trained(tmp_path)) == begun
    status, out, _ = scalenas(*command, "--fidelity", "4", "--final-epochs", "16")
    assert status == 0
    assert len(trained(tmp_path)) == begun + 2 * 7  # the new length alone
    assert scalenas("status", tmp_path)[0] == 0


def test_a_dry_run_trains_nothing(tmp_path: Path, scalenas: Run) -> None:
    status, out, _ = scalenas(*options(tmp_path, "--candidates", "6", "--dry-run", "--json"))
    assert status == 0
    assert json.loads(out)["trainings"] == 6 * (2 * 2 + 1)
    assert trained(tmp_path) == []
    assert not (tmp_path / "fidelity.journal").exists()


def test_candidates_that_fail_are_left_out_and_named(tmp_path: Path, scalenas: Run) -> None:
    command = options(tmp_path, "--candidates", "20", "--seeds", "1", "--json", evaluator="partly_failing")
    status, out, err = scalenas(*command)
    assert status == 0, err
    record = json.loads(out)
    table = pd.read_csv(tmp_path / "fidelity.csv")
    failed = set(table[table.failure == "diverged"].network)
    assert 0 < len(failed) < 10
    assert set(record["left_out"]) == failed
    assert record["candidates"] == 20 - len(failed)
    assert record["ceilings"] == []  # one seed has no repetition


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--fidelity", "a"), ["fidelity", "EPOCHS"]),
        (("--fidelity", "3:2"), ["fidelity", "3:2"]),
        (("--final-epochs", "2"), ["final-epochs", "2"]),
        (("--candidates", "3"), ["candidates", "3"]),
        (("--bar", "1.5"), ["bar", "1.5"]),
        (("--seeds", "0"), ["seeds"]),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, scalenas: Run, more: tuple[str, ...], words: list[str]) -> None:
    expect_mistake(scalenas(*options(tmp_path, *more)), *words)
