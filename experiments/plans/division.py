"""How the time of a whole run is divided: which of several sizes of a run fits into it, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.records.division import Amounts
from experiments.run.context import CONFIRMED

LONGEST_FINAL = 100  # epochs
MOST_SEEDS = 6  # of a network on the frontier
_GROWN = 2.0  # times the target's cost, of a network of the coefficient search

SIZES: tuple[tuple[float, Amounts], ...] = (
    # the columns are the fields of Amounts, in their order
    (0.25, Amounts(2, 6, 1, 1, 7, 1, False, 2, 4, 2, 1, 1)),
    (0.35, Amounts(2, 8, 2, 1, 10, 1, False, 2, 4, 2, 1, 1)),
    (0.5, Amounts(2, 12, 2, 2, 14, 1, False, 3, 4, 3, 1, 1)),
    (0.5, Amounts(3, 20, 2, 2, 21, 1, False, 4, 6, 3, 1, 2)),
    (0.75, Amounts(3, 24, 2, 2, 21, 1, False, 6, 6, 3, 2, 2)),
    (1.0, Amounts(3, 30, 3, 2, 30, 1, False, 6, 10, 3, 2, 2)),
    (1.0, Amounts(3, 40, 3, 3, 42, 2, True, 6, 20, 3, 2, 3)),
    (1.0, Amounts(3, 80, 3, 3, 60, 2, True, 6, 20, 3, 2, 3)),
    (1.0, Amounts(3, 160, 3, 3, 120, 2, True, 6, 40, 5, 3, 3)),
)
"""The sizes of a run, the least first: how much of the usual length a short training has, and the amounts; epochs and
final_epochs are the least. The frontier's trainings have at least twice the epochs of the short ones. A rule of thumb:
12 trials find something, 21 trainings tell large differences between coefficients, 60 most (docs/budget.md)."""
SEARCHING = 2
"""The size from which on a search is worth its name; rather than less, the target is lowered."""


@dataclass(frozen=True)
class Rates:
    """What trainings take. seconds(macs, epochs): of a short one on one of the `slots`; final(macs, epochs): of one of
    the frontier, on all images; ways: the plans of each opponent, in order, of which short trainings choose; cost: what
    opponents cost on average, in targets, since not every network meets it exactly. beside:
    other networks on the frontier for each of the baseline and its family; rivals: for each of the family alone.
    lengths: of the coefficient search in epochs, where the user has given them; plot: the plot's largest phi.
    """

    seconds: Callable[[float, int], float]
    final: Callable[[float, int], float]
    slots: int
    ways: tuple[int, ...]
    cost: float = 1.0
    beside: int = 0
    rivals: int = 0
    lengths: tuple[int, ...] = ()
    plot: float = 2.0

    def slower(self, times: float) -> Rates:
        """The same where all trainings take so many times as long."""
        return replace(
            self,
            seconds=lambda macs, epochs: times * self.seconds(macs, epochs),
            final=lambda macs, epochs: times * self.final(macs, epochs),
        )


def amounts_of(size: int, usual_epochs: int, fixed: Mapping[str, Any]) -> Amounts:
    """Those of a size. usual_epochs: of a short training; fixed: what the user has decided, by the field's name."""
    share, least = SIZES[size]
    epochs = fixed.get("epochs", max(least.epochs, round(share * usual_epochs)))
    long = replace(least, epochs=epochs, final_epochs=max(least.final_epochs, 2 * epochs))
    return replace(long, **fixed)


def step_seconds(amounts: Amounts, macs: float, rates: Rates) -> dict[str, float]:
    """The wall seconds of each step for networks of about `macs`, by its name."""
    short = rates.seconds(macs, amounts.epochs)
    lengths = rates.lengths or tuple(amounts.epochs * (i + 1) for i in range(amounts.lengths))
    points = sum(rates.seconds(_GROWN * macs, epochs) for epochs in lengths)
    others = amounts.final_seeds * (1 + rates.beside + rates.rivals)
    shown = amounts.references + amounts.top + rates.beside
    mean = 1 + (rates.cost - 1) * amounts.references / shown
    work = {
        "search": [
            (amounts.trials, short),
            (amounts.confirm * amounts.confirm_seeds, rates.seconds(macs, CONFIRMED * amounts.epochs)),
        ],
        "coefficients": [(amounts.grid // len(lengths), points)],
        "frontier": [
            (
                sum(ways for ways in rates.ways[: amounts.references] if ways > 1),
                rates.seconds(rates.cost * macs, amounts.epochs),
            ),
            (amounts.final_seeds * shown, rates.final(mean * macs, amounts.final_epochs)),
            *((others, rates.final(macs * 2**phi, amounts.final_epochs)) for phi in range(1, amounts.family_phi + 1)),
        ],
    }
    if amounts.plot:  # five ways at each phi, at three seeds
        phis = {0.5, *range(1, int(rates.plot) + 1), rates.plot}
        work["coefficients"] += [(15, rates.seconds(macs * 2**phi, lengths[-1])) for phi in phis]
    idle = 0.5 * (rates.slots - 1) / rates.slots  # of a training: at a step's end some slots wait
    return {
        name: sum((count / rates.slots + idle * (count > 0)) * seconds for count, seconds in each)
        for name, each in work.items()
    }


def choose(
    seconds: float, macs: float, rates: Rates, usual_epochs: int, fixed: Mapping[str, Any]
) -> tuple[int, Amounts] | None:
    """The largest size that fits into the wall seconds, and its amounts, with as many more trials, up to the next
    size's, as there is time for; None where not even the least fits."""

    def total(amounts: Amounts) -> float:
        return sum(step_seconds(amounts, macs, rates).values())

    fitting = [size for size in range(len(SIZES)) if total(amounts_of(size, usual_epochs, fixed)) <= seconds]
    if not fitting:
        return None
    size = fitting[-1]
    amounts = amounts_of(size, usual_epochs, fixed)
    if "trials" in fixed:
        return size, amounts
    most = SIZES[min(size + 1, len(SIZES) - 1)][1].trials
    more = [replace(amounts, trials=trials) for trials in range(amounts.trials, most + 1)]
    return size, max((each for each in more if total(each) <= seconds), key=lambda each: each.trials)


def settings_of(amounts: Amounts, references: tuple[str, ...]) -> dict[str, Any]:
    """The amounts as settings, by name."""
    return {
        "epochs": amounts.epochs,
        "trials": amounts.trials,
        "confirm": amounts.confirm,
        "confirm_seeds": amounts.confirm_seeds,
        "grid": amounts.grid,
        "lengths": [amounts.epochs * (i + 1) for i in range(amounts.lengths)],
        "plot_phi": 2.0 if amounts.plot else 0.0,
        "references": list(references[: amounts.references]),
        "final_epochs": amounts.final_epochs,
        "final_seeds": amounts.final_seeds,
        "family_phi": amounts.family_phi,
        "top": amounts.top,
    }


def fixed_amounts(given: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the user has decided already, by the fields of Amounts; given: the names of the options."""
    fixed = {name: settings[name] for name in Amounts.__dataclass_fields__ if name in given and name != "references"}
    if "lengths" in given:
        fixed["lengths"] = len(settings["lengths"])
    if "plot_phi" in given:
        fixed["plot"] = settings["plot_phi"] > 0
    if "references" in given:
        fixed["references"] = len(settings["references"])
    return fixed


def grid_within(seconds: float, amounts: Amounts, macs: float, rates: Rates) -> Amounts:
    """The amounts with as many trainings of the coefficient search as leave the frontier its part of the wall seconds;
    at least those of the least size."""
    least = min(amounts.grid, SIZES[0][1].grid * amounts.lengths)
    for grid in range(amounts.grid, least, -amounts.lengths):
        trimmed = replace(amounts, grid=grid)
        steps = step_seconds(trimmed, macs, rates)
        if steps["coefficients"] + steps["frontier"] <= seconds:
            return trimmed
    return replace(amounts, grid=least)


def frontier_within(
    seconds: float, amounts: Amounts, macs: float, rates: Rates, fixed: Collection[str] = ()
) -> Amounts:
    """The amounts with as many epochs of the frontier's trainings as fit into the wall seconds: from those of the short
    ones to 100. There are fewer seeds where even the fewest epochs do not fit, and more, up to MOST_SEEDS, while twice
    the planned epochs still fit. fixed: which of final_epochs and final_seeds stay."""

    def longest(seeds: int) -> Amounts | None:
        longer = [replace(amounts, final_seeds=seeds, final_epochs=epochs) for epochs in lengths]
        return next((each for each in reversed(longer) if step_seconds(each, macs, rates)["frontier"] <= seconds), None)

    lengths = range(amounts.epochs, max(amounts.epochs, LONGEST_FINAL) + 1)
    if "final_epochs" in fixed:
        lengths = range(amounts.final_epochs, amounts.final_epochs + 1)
    fewest = amounts.final_seeds if "final_seeds" in fixed else 1
    fitting = (longest(seeds) for seeds in range(amounts.final_seeds, fewest - 1, -1))
    found = next(filter(None, fitting), replace(amounts, final_seeds=fewest, final_epochs=lengths[0]))
    if "final_seeds" not in fixed:
        for seeds in range(amounts.final_seeds + 1, MOST_SEEDS + 1):
            more = longest(seeds)
            if more is None or more.final_epochs < 2 * amounts.final_epochs:
                break
            found = more
    return found
