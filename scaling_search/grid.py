"""The points of the coefficient search: the paper's grid, or a lattice of shares at one realised cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from scaling_search.coefficients import Coefficients, Shares
from scaling_search.compound import RULES, grow_matched, scale_arch
from scaling_search.matching import Baseline
from search_spaces import ArchSpec, count_params

FIFTHS = 5


@dataclass(frozen=True)
class ScalingPoint:
    """One network of the search, `cost` times as dear as the baseline by count.

    coefficients: nominal layout: those asked for; others: those of the realised shares. merged: every setting that
    builds this same network, `coefficients` among them. nominal_cost: alpha * beta^2 * gamma^2. cost and shares are
    realised, that is counted on the network. macs and params are counts.
    """

    coefficients: Coefficients
    nominal_cost: float
    cost: float
    shares: Shares
    arch: ArchSpec
    arch_id: str
    macs: int
    params: int
    merged: tuple[Coefficients, ...]


MOST_VALUES, MOST_POINTS = 200, 2000
"""Of each coefficient, and of a grid."""


def coefficient_grid(
    step: float = 0.05, tolerance: float = 0.1, low: float = 1.0, high: float = 2.0
) -> tuple[Coefficients, ...]:
    """The paper's grid: all alpha, beta, gamma in `low`..`high` (both included) in steps of `step` whose
    alpha * beta^2 * gamma^2 is within `tolerance` of 2 (ends included).

    Raises ValueError when a bound is below 1, the step is not above 0, or no point, or more than MOST_POINTS, are left.
    """
    if not step > 0:
        raise ValueError(f"step must be above 0, not {step:g}")
    if low < 1 or high < low:
        raise ValueError(f"bounds must satisfy 1 <= low <= high, not {low:g} and {high:g}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, not {tolerance:g}")
    if (high - low) / step > MOST_VALUES:
        raise ValueError(f"step {step:g} gives more than {MOST_VALUES} values each: take a larger one")
    # Values such as 1.15 have no exact binary form: ends are meant to count in, so a hair is allowed.
    values = [round(low + i * step, 10) for i in range(int((high - low) / step + 1e-9) + 1)]
    cells = (Coefficients(*cell) for cell in product(values, repeat=3))
    grid = tuple(cell for cell in cells if abs(cell.nominal_cost - 2) <= tolerance + 1e-9)
    if not grid:
        raise ValueError(
            f"no coefficients with step {step:g} between {low:g} and {high:g} cost 2 +- {tolerance:g}: "
            "take a larger tolerance, a smaller step or wider bounds"
        )
    if len(grid) > MOST_POINTS:
        raise ValueError(
            f"{len(grid)} coefficients with step {step:g} cost 2 +- {tolerance:g}, and at most {MOST_POINTS} can be "
            "tried: take a larger step or a smaller tolerance"
        )
    return grid


def share_lattice(parts: int = FIFTHS) -> tuple[Shares, ...]:
    """All ways to divide a doubling over depth, width and resolution in `parts` equal parts: 21 for fifths."""
    counts = ((d, w, parts - d - w) for d in range(parts + 1) for w in range(parts + 1 - d))
    return tuple(Shares(*(count / parts for count in cell)) for cell in counts)


def scaling_points(
    arch: ArchSpec,
    layout: str = "thrifty",
    *,
    step: float = 0.05,
    tolerance: float = 0.1,
    low: float = 1.0,
    high: float = 2.0,
    num_classes: int = 1000,
) -> tuple[ScalingPoint, ...]:
    """The networks to train, each once, grown from the baseline `arch` to about twice its cost.

    layout "thrifty" or "matched": the lattice of 21 shares, each the nearest network that can be built at twice the
    baseline's counted cost, by that rule of `scale_arch`; step, tolerance and bounds play no part. layout "nominal":
    `coefficient_grid` with the paper's rounding. Raises ValueError for an unknown layout, an empty grid or a baseline
    that was grown already.
    """
    if layout not in RULES:
        raise ValueError(f"`layout` must be one of {', '.join(RULES)}, not {layout!r}")
    baseline = Baseline(arch, num_classes)
    if layout == "nominal":
        asked = [(scale_arch(arch, c), c) for c in coefficient_grid(step, tolerance, low, high)]
        settings: dict[str, list[Coefficients]] = {}
        for grown, c in asked:
            settings.setdefault(grown.id, []).append(c)
        return tuple(_point(baseline, grown, settings[grown.id]) for grown in _distinct(grown for grown, _ in asked))
    networks = (grow_matched(baseline, shares, thrifty=layout == "thrifty") for shares in share_lattice())
    return tuple(_point(baseline, grown) for grown in _distinct(networks))


def _distinct(networks: Iterable[ArchSpec]) -> list[ArchSpec]:
    """Each network once, where it first appears."""
    found: dict[str, ArchSpec] = {}
    for arch in networks:
        found.setdefault(arch.id, arch)
    return list(found.values())


def _point(baseline: Baseline, grown: ArchSpec, settings: Sequence[Coefficients] = ()) -> ScalingPoint:
    """The counted facts of one grown network. Of several `settings` that build it the nominally nearest to 2 names it;
    without any it is named by the coefficients of its realised shares."""
    macs, shares = baseline.count(grown), baseline.shares_of(grown)
    merged = tuple(settings) or (Coefficients.from_shares(shares),)
    named = min(merged, key=lambda c: abs(c.nominal_cost - 2))
    return ScalingPoint(
        coefficients=named,
        nominal_cost=named.nominal_cost,
        cost=macs / baseline.macs,
        shares=shares,
        arch=grown,
        arch_id=grown.id,
        macs=macs,
        params=count_params(grown, num_classes=baseline.num_classes),
        merged=merged,
    )
