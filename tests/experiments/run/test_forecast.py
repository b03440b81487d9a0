"""The forecast: exact in its arithmetic, right about what it advises, corrected by what is measured."""

from __future__ import annotations

# ruff: noqa: ARG002  a simulated executor takes what the seam passes
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.run.forecast import (
    Forecast,
    Images,
    Pace,
    Work,
    advice,
    fit_into,
    spread,
    time_limit,
    training_seconds,
)
from experiments.wording import DAY, HOUR
from nas.evaluation import Failure, Fidelity, Probe, Request, Timing
from nas.pool.executor import Event, Judge, WorkersError
from nas.pool.packing import Packed, choose_slots, measure_packing, worth_trying
from nas.pool.slots import Slot
from nas.training.speed import Speed, fit_speed
from tests.helpers.command import Run
from tests.helpers.evaluators import request as some_request

SPEED = Speed(step=0.01, per_mac=1e-11, eval_per_mac=2e-11, setup=0.5, peak_bytes=3e8)
IMAGES = Images(train=1000, val=200, batch_size=100)


def work(trainings: int = 10, macs: float = 1e6, epochs: int = 2) -> Work:
    return Work("search", trainings, macs, Fidelity(epochs), IMAGES)


def test_seconds_and_macs_by_hand() -> None:
    steps, macs = 10, 1e6
    epoch = steps * (0.01 + 1e-11 * 3 * macs * 100) + 200 * 2e-11 * macs
    assert training_seconds(SPEED, macs, Fidelity(2), IMAGES) == pytest.approx(0.5 + 2 * epoch)
    assert training_seconds(SPEED, macs, Fidelity(2, 0.5), IMAGES) == pytest.approx(
        0.5 + 2 * (5 * (0.01 + 3e-3) + 200 * 2e-11 * macs)
    )
    assert work().total_macs == 10 * 2 * (3 * 1000 + 200) * 1e6
    many = replace(IMAGES, val=5000)  # until the last epoch a training is measured on a thousand of them
    assert replace(work(), images=many).total_macs == 10 * (2 * 3 * 1000 + 1000 + 5000) * 1e6
    assert training_seconds(SPEED, macs, Fidelity(2), many) == pytest.approx(
        0.5 + 2 * steps * (0.01 + 3e-3) + 6000 * 2e-11 * macs
    )
    forecast = Forecast((work(), work(5)), SPEED, 3, 0.0, "cpu")
    assert forecast.trainings == 15
    assert forecast.seconds == pytest.approx(15 * (0.5 + 2 * epoch) / 3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-4, 1), st.floats(1e-13, 1e-10))
def test_a_speed_is_found_again_from_its_timings(step: float, per_mac: float) -> None:
    timings = [Timing(m, step + per_mac * 3 * m * 32, 32, 1e-12 * m * 64, 64, 0.1, 1.0) for m in (1e6, 9e6)]
    found = fit_speed(timings)
    assert found.step == pytest.approx(step, rel=1e-6, abs=1e-9)
    assert found.per_mac == pytest.approx(per_mac, rel=1e-6)
    assert found.eval_per_mac == pytest.approx(1e-12)
    assert found.eval_per_image == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("steps", [(0.025, 0.0245), (0.0245, 0.0245), (0.0245, 0.025)])
@pytest.mark.parametrize("macs", [0.4e6, 1e6, 5e6, 9e6])
def test_what_takes_as_long_for_all_networks_is_foretold_for_small_ones_too(
    steps: tuple[float, float], macs: float
) -> None:
    """Steps and evaluations of small networks on a GPU: a time each, of launching kernels, that MACs do not change."""
    timings = [Timing(m, step, 128, step / 3, 2048, 0.0, 1.0) for m, step in zip((3e6, 9e6), steps, strict=True)]
    images = Images(train=50_000, val=5_000, batch_size=128)
    foretold = training_seconds(fit_speed(timings), macs, Fidelity(9), images)
    measured = (8 * 5_000 + 5_000) / 2048  # batches of 2048 in all nine epochs
    assert foretold == pytest.approx(9 * 390 * 0.0248 + measured * 0.0248 / 3, rel=0.03)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-4, 1), st.floats(1e-4, 1))
def test_no_line_of_times_is_negative_or_far_from_them(first: float, second: float) -> None:
    timings = [Timing(m, step, 32, step / 5, 64, 0.1, 1.0) for m, step in ((1e6, first), (9e6, second))]
    found = fit_speed(timings)
    assert min(found.step, found.per_mac, found.eval_per_mac, found.eval_per_image or 0) >= 0
    for timing in timings:
        told = found.step + found.per_mac * 3 * timing.macs * 32
        assert abs(told - timing.train_step) <= abs(first - second)


def test_noisy_timings_give_no_negative_times() -> None:
    small, large = (Timing(m, seconds, 32, 0.1, 64, 0.1, 1.0) for m, seconds in ((1e6, 0.2), (2e6, 0.1)))
    found = fit_speed([small, large])
    assert found.step == pytest.approx(0.15)
    assert found.per_mac == 0
    assert fit_speed([small]).per_mac * 3 * 1e6 * 32 == pytest.approx(0.2)


@pytest.mark.parametrize("trials", [3, 60, 100_000])
@pytest.mark.parametrize("macs", [1e6, 1e9, 1e11])
def test_what_is_advised_fits_into_an_hour(trials: int, macs: float) -> None:
    target, count = fit_into(SPEED, 2, work(trials, macs), target_macs=macs)
    each = training_seconds(SPEED, target, Fidelity(2), IMAGES)
    assert 1 <= count <= trials
    assert count * each / 2 <= HOUR
    assert target <= macs
    if target < macs:  # a larger target would not do
        assert HOUR * 2 / training_seconds(SPEED, 2 * target, Fidelity(2), IMAGES) < min(50, trials)


def test_advice_is_given_beyond_a_day_alone() -> None:
    short, long = (Forecast((w,), SPEED, 1, 0.0, "cpu") for w in (work(), work(1_000_000)))
    assert short.seconds is not None
    assert long.seconds is not None
    assert short.seconds < DAY < long.seconds
    assert advice(short, work(), 1e6, "--trials") is None
    text = advice(long, work(1_000_000), 1e6, "--trials")
    assert text is not None
    assert "--target-macs 1M --trials " in text


def test_the_time_left_is_corrected_by_what_trainings_took() -> None:
    pace = Pace(each=10.0, slots=2)
    assert pace.seconds(6) == 30
    pace.note(expected=10, measured=20)
    pace.note(expected=30, measured=60)
    assert pace.seconds(6) == 60
    assert pace.seconds(0) == 0


def test_a_limit_is_generous() -> None:
    assert time_limit(1.0) == 600
    assert time_limit(100.0) == 2000


def test_the_networks_to_time_are_near_both_ends() -> None:
    macs = [float(m) for m in range(100, 0, -1)]
    cheap, dear = spread(macs)
    assert (macs[cheap], macs[dear]) == (11, 90)
    assert spread([5.0]) == (0, 0)


def test_a_dry_run_tells_and_trains_nothing(scalenas: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    common = ("digits", "--run", run, "--target-macs", "1M", "--devices", "cpu", "--executor", "inline",
              "--train-images", "64", "--dry-run", "--json")  # fmt: skip
    status, out, err = scalenas("discover", *common, "--trials", "7", "--epochs", "2", "--confirm", "2",
                                "--confirm-seeds", "2")  # fmt: skip
    assert status == 0, err
    told = json.loads(out)
    assert told["trainings"] == 7 + 4
    assert told["seconds"] > 0
    assert told["macs"] == pytest.approx(
        sum(w["trainings"] * w["macs_each"] * w["epochs"] * (3 * 64 + 269) for w in told["work"])
    )
    assert "forecast: 11 trainings" in err
    speed = (run / "speed.json").read_text()
    status, out, err = scalenas("scale", *common, "--seeds", "1", "--budget", "6", "--lengths", "1,2",
                              "--plot-phi", "1")  # fmt: skip
    assert status == 0, err
    work = json.loads(out)["work"]
    assert [part["name"] for part in work] == ["points", "points", "scaling plot"]
    assert sum(part["trainings"] for part in work[:2]) == 6
    assert work[2]["trainings"] <= 9
    assert (run / "speed.json").read_text() == speed  # measured once
    status, _, err = scalenas("scale", *common[:4], "20M", *common[5:], "--lengths", "1", "--plot-phi", "0")
    assert status == 0, err
    assert (run / "speed.json").read_text() != speed  # other networks, far from those
    assert sorted(path.name for path in run.glob("*.journal")) == []


# --- Packing -----------------------------------------------------------------------------------------------------


def packed(*rows: tuple[int, float, float]) -> list[Packed]:
    """Rows of slots, images a second, and gigabytes left of 80."""
    return [Packed(slots, speed, 1e9 * free, 80e9) for slots, speed, free in rows]


@pytest.mark.parametrize(
    ("rows", "slots"),
    [
        ((), 1),
        (((1, 100, 75),), 1),
        (((1, 100, 75), (2, 190, 70), (4, 300, 60), (8, 310, 40)), 4),  # 8 gain too little
        (((1, 100, 75), (2, 190, 70), (4, 300, 60), (8, 400, 5)), 4),  # 8 leave too little memory
        (((1, 100, 75), (2, 90, 70)), 1),
        (((1, 100, 2),), 1),
    ],
)
def test_as_many_slots_as_pay_and_fit(rows: tuple[tuple[int, float, float], ...], slots: int) -> None:
    assert choose_slots(packed(*rows)) == slots


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 80)), min_size=1, max_size=5))
def test_the_choice_is_near_the_best_that_fits(figures: list[tuple[float, float]]) -> None:
    measured = packed(*((2**i, speed, free) for i, (speed, free) in enumerate(figures)))
    chosen = choose_slots(measured)
    fitting = {each.slots: each.images_per_second for each in measured if each.free_bytes >= 8e9}
    if fitting:
        assert fitting[chosen] >= 0.9 * max(fitting.values())
    else:
        assert chosen == 1


@pytest.mark.parametrize(
    ("rows", "slots", "worth"),
    [
        ((), 1, True),
        (((1, 100, 75),), 2, True),
        (((1, 100, 30),), 2, False),  # 50 GB each
        (((1, 100, 75), (2, 101, 70)), 4, False),  # the last doubling gave nothing
        (((1, 100, 75), (2, 180, 70)), 4, True),
    ],
)
def test_more_are_tried_while_they_may_pay_and_fit(
    rows: tuple[tuple[int, float, float], ...], slots: int, worth: bool
) -> None:
    assert worth_trying(packed(*rows), slots) == worth


def test_packing_is_measured_while_it_pays() -> None:
    started: list[int] = []
    asked: list[int] = []

    class Device:
        """Trials that share 300 images a second, and 10 GB each of 80."""

        def __init__(self, slots: Sequence[Slot]) -> None:
            started.append(len(slots))

        @property
        def free_slots(self) -> int:
            return started[-1]

        def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
            assert times == self.free_slots
            asked.append(times)
            step = 1 / min(100, 300 / times)
            return [Timing(1e6, step, 1, 0.1, 1, 0.1, 1.0, 80e9 - 10e9 * times, 80e9)] * times

        def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None: ...

        def wait(self, timeout: float | None = None) -> list[Event]:
            return []

        def stop(self, ticket: int) -> None: ...

        def cancel(self, ticket: int) -> None: ...

        def close(self) -> None:
            asked.append(0)

    class Crowded(Device):
        def __init__(self, slots: Sequence[Slot]) -> None:
            super().__init__(slots)
            if len(slots) == fails_at:
                raise WorkersError("workers end before they are ready")

    class Unsteady(Device):
        """One training fails when it is begun, as others are."""

        def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
            found = super().probe(probe, times)
            first = asked.count(times) == 1
            return [*found[1:], Failure("oom", "no room")] if first and times == 4 else found

    assert [each.slots for each in measure_packing(Unsteady, Slot("cuda:0"), Probe(some_request().arch))] == [1, 2]
    fails_at = 2
    assert [each.slots for each in measure_packing(Crowded, Slot("cuda:0"), Probe(some_request().arch))] == [1]
    fails_at = 1
    with pytest.raises(WorkersError):
        measure_packing(Crowded, Slot("cuda:0"), Probe(some_request().arch))
    started.clear()
    asked.clear()
    measured = measure_packing(Device, Slot("cuda:0"), Probe(some_request().arch))
    assert [each.slots for each in measured] == [1, 2, 4]
    assert started == [1, 2, 4]  # 8 would leave no memory
    assert asked == [1, 1, 0, 2, 2, 0, 4, 4, 0]
    assert choose_slots(measured) == 4
