"""How a run's time is divided: it fits, more of it never buys less, and what the user has decided stays."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.options.groups import REFERENCES
from experiments.options.settings import Settings
from experiments.plans.division import (
    SIZES,
    Rates,
    amounts_of,
    choose,
    fixed_amounts,
    frontier_within,
    grid_within,
    settings_of,
    step_seconds,
)

MACS = 1e6


def rates(each: float, slots: int, ways: int = 8) -> Rates:
    """Trainings that take `each` seconds an epoch at MACS, in proportion to MACs, and a second before."""

    def seconds(macs: float, epochs: int) -> float:
        return 1 + each * epochs * macs / MACS

    return Rates(seconds, seconds, slots, (ways,) * 6)


def total(amounts: object, of: Rates) -> float:
    return sum(step_seconds(amounts, MACS, of).values())  # type: ignore[arg-type]


speeds = st.builds(rates, st.floats(0.01, 30), st.integers(1, 16), st.integers(1, 20))


@given(speeds, st.floats(60, 1e6), st.integers(3, 20))
def test_what_is_chosen_fits_and_nothing_larger_does(of: Rates, seconds: float, usual: int) -> None:
    found = choose(seconds, MACS, of, usual, {})
    if found is None:
        assert total(amounts_of(0, usual, {}), of) > seconds
        return
    size, amounts = found
    assert total(amounts, of) <= seconds
    assert all(total(amounts_of(more, usual, {}), of) > seconds for more in range(size + 1, len(SIZES)))
    if size + 1 < len(SIZES) and amounts.trials < SIZES[size + 1][1].trials:
        assert total(replace(amounts, trials=amounts.trials + 1), of) > seconds


@given(speeds, st.floats(60, 1e5), st.floats(1, 10), st.integers(3, 20))
def test_more_time_never_buys_less(of: Rates, seconds: float, times: float, usual: int) -> None:
    found, more = (choose(each, MACS, of, usual, {}) for each in (seconds, times * seconds))
    if found is not None:
        assert more is not None
        assert more[0] >= found[0]
        assert more[1].trials >= found[1].trials


def test_each_size_is_at_least_the_one_before() -> None:
    sizes = [amounts_of(size, 20, {}) for size in range(len(SIZES))]
    for before, after in itertools.pairwise(sizes):
        assert all(getattr(after, name) >= getattr(before, name) for name in before.__dataclass_fields__)


@given(speeds, st.floats(60, 1e5))
def test_what_the_user_has_decided_stays(of: Rates, seconds: float) -> None:
    given = {"trials": 33, "final_epochs": 50, "lengths": [4, 8], "plot_phi": 1.0, "references": ["plain_resnet"]}
    fixed = fixed_amounts(given, Settings().with_given(given).flat())
    assert fixed == {"trials": 33, "final_epochs": 50, "lengths": 2, "plot": True, "references": 1}
    found = choose(seconds, MACS, of, 10, fixed)
    if found is not None:
        assert all(getattr(found[1], name) == value for name, value in fixed.items())


def test_the_seconds_of_the_steps_are_those_of_their_trainings() -> None:
    of = rates(2.0, 1, ways=5)
    amounts = replace(amounts_of(0, 8, {}), trials=10, confirm=2, confirm_seeds=3, grid=8, family_phi=1)
    assert amounts.epochs == 2
    steps = step_seconds(amounts, MACS, of)
    assert steps["search"] == 10 * 5.0 + 2 * 3 * 9.0  # the confirmation is twice as long
    assert steps["coefficients"] == 8 * 9.0  # at twice the cost
    assert steps["frontier"] == 10 * 5.0 + 2 * 3 * 9.0 + 2 * 17.0  # plans, then 2 seeds of 3 networks and of phi 1
    dearer = step_seconds(amounts, MACS, replace(of, cost=1.5))  # both opponents cost half as much again
    assert dearer["frontier"] == pytest.approx(10 * 7.0 + 2 * 2 * 13.0 + 2 * 9.0 + 2 * 17.0)
    twice = step_seconds(amounts, MACS, rates(2.0, 2, ways=5))
    assert all(steps[name] / 2 <= twice[name] <= steps[name] / 2 + 0.25 * 50 for name in steps)


@given(speeds, st.floats(1, 1e5), st.integers(0, len(SIZES) - 1))
def test_later_steps_keep_to_the_time_that_is_left(of: Rates, left: float, size: int) -> None:
    amounts = amounts_of(size, 10, {})
    grid = grid_within(left, amounts, MACS, of)
    steps = step_seconds(grid, MACS, of)
    assert grid.grid <= amounts.grid
    assert steps["coefficients"] + steps["frontier"] <= left or grid.grid == min(amounts.grid, 7 * amounts.lengths)
    final = frontier_within(left, amounts, MACS, of)
    assert amounts.epochs <= final.final_epochs <= 100
    assert final.final_seeds <= amounts.final_seeds or final.final_epochs >= 2 * amounts.final_epochs
    least = replace(final, final_seeds=1, final_epochs=amounts.epochs)
    assert step_seconds(final, MACS, of)["frontier"] <= left or final == least
    longer = replace(final, final_epochs=final.final_epochs + 1)
    assert final.final_epochs == 100 or step_seconds(longer, MACS, of)["frontier"] > left


def test_amounts_are_settings() -> None:
    for size in range(len(SIZES)):
        settings = Settings().with_given(settings_of(amounts_of(size, 10, {}), REFERENCES))
        assert (settings.final.final_epochs or 0) >= 2 * (settings.training.epochs or 0)
        assert len(settings.growth.lengths) == SIZES[size][1].lengths
