"""What a user must know before trusting the coefficients."""

from __future__ import annotations

import math

import numpy as np

from scaling_search.analysis import Analysis
from scaling_search.grid import share_lattice
from scaling_search.matching import ASTRAY
from scaling_search.search import FEWEST_FOR_ANALYSIS, CoefficientSearch, trainings_of
from scaling_search.surface.posterior import Surfaces

SPREAD = 1.1
ROUNDING = 1e-6
TINY = 16
"""Images of fewer pixels a side leave hardly any steps to grow by."""
DISTINCT = 100
"""Fewer different hills among the draws do not make a 90 % interval."""
WANTED = 0.005
"""The difference of accuracy that a search should be able to see: half a point."""


def cautions(found: CoefficientSearch, *, native_size: int | None = None, val_images: int | None = None) -> list[str]:
    """One line for each thing that weakens the result; none when nothing does.

    native_size: pixels of the images' shorter side as they come; val_images: how many the accuracy is measured on.
    """
    lines = [*_resolution(found, native_size), *_validation(found, val_images), *_costs(found), *_reach(found)]
    if found.analysis is None:
        return [*lines, "too few points were trained for a surface: the coefficients are the best point's, by mean"]
    return [*lines, *_surface(found.analysis)]


def too_coarse(networks: int) -> str | None:
    """What is to be said before anything is trained where so many networks of about twice the cost are all that can be
    built from a baseline; None where they are enough."""
    if networks >= FEWEST_FOR_ANALYSIS:
        return None
    count = "one network" if networks == 1 else f"{networks} networks"
    return (
        f"only {count} of about twice the cost can be built from this baseline, and a surface needs at least "
        f"{FEWEST_FOR_ANALYSIS}: the coefficients will be those of the best network, without intervals and forecasts; "
        "a baseline with more layers, channels or pixels can grow in smaller steps"
    )


def images_needed(accuracy: float, difference: float = WANTED) -> int:
    """Validation images at which a difference of accuracies is twice its sampling error.

    Two networks of about the same accuracy p are taken to disagree on p (1 - p) of the images: half of what
    independent ones would.
    """
    return math.ceil(4 * accuracy * (1 - accuracy) / difference**2)


def _resolution(found: CoefficientSearch, native_size: int | None) -> list[str]:
    asked = [result.point.arch.resolution for result in found.results]
    beyond = [pixels for pixels in asked if native_size is not None and pixels > native_size]
    lines = []
    if native_size is not None and native_size < TINY:
        lines.append(
            f"images have {native_size} pixels: there are few sizes to grow to, so the share of resolution is coarse "
            "and says little about larger images"
        )
    if not beyond:
        return lines
    return [
        *lines,
        f"images have {native_size} pixels, and {len(beyond)} of {len(asked)} points enlarge them, to {max(beyond)} at "
        "most: that adds computation and no detail, so the gain from resolution says little; start from a lower "
        "`resolution`",
    ]


def _validation(found: CoefficientSearch, val_images: int | None) -> list[str]:
    accuracy = found.best.mean
    if val_images is None or accuracy is None:
        return []
    needed = images_needed(accuracy)
    if val_images >= needed:
        return []
    seen = 2 * math.sqrt(accuracy * (1 - accuracy) / val_images)
    return [
        f"with {val_images} validation images a difference below {100 * seen:.1f} points may be chance; "
        f"to tell {100 * WANTED:.1f} points apart takes about {needed:,} of them"
    ]


def _costs(found: CoefficientSearch) -> list[str]:
    trained = [result.point for result in found.results if result.n]
    costs = [point.cost for point in trained]
    if max(costs) <= SPREAD * min(costs):
        return []
    line = (
        f"the points cost {min(costs):.2f} to {max(costs):.2f} times the baseline, not twice: the best of them may be "
        "so because it costs more"
    )
    if trainings_of(found.results).trained().covariate is not None:
        line += " (the surface allows for that)"
    if any(abs(point.nominal_cost - 2) > ROUNDING for point in trained):
        line += "; `layout` matched compares at nearly equal cost"
    return [line]


def _reach(found: CoefficientSearch) -> list[str]:
    """Parts of the triangle that no network of the search comes near, as where very narrow baselines would widen."""
    shares = np.array([result.point.shares for result in found.results])
    wanted = np.array(share_lattice())
    away = np.linalg.norm(wanted[:, None] - shares, axis=2).min(axis=1)
    if away.max() <= ASTRAY:
        return []
    depth, width, resolution = wanted[away.argmax()]
    return [
        f"no network of about twice the cost gives {depth:.1f} of it to depth, {width:.1f} to width and "
        f"{resolution:.1f} to resolution, or nearly so: there the surface is a guess; a baseline with more channels or "
        "pixels can grow in smaller steps (`target_macs`, `resolution`)"
    ]


def _surface(analysis: Analysis) -> list[str]:
    lines = []
    if isinstance(analysis.draws, Surfaces) and analysis.draws.distinct < DISTINCT:
        lines.append(
            f"only {analysis.draws.distinct} different surfaces were found to agree with the trainings: intervals and "
            "region are too narrow; training some points at another seed would help"
        )
    if analysis.model != "hill":
        lines.append(
            f"one smooth hill does not explain the points (p = {analysis.lack_of_fit:.3g}): "
            "a Gaussian process was used, whose optimum is less certain"
        )
    if analysis.noise is None:
        lines.append("no point was trained at two seeds: the noise is guessed from the surface's fit alone")
    edges = [name for name in analysis.on_edge if getattr(analysis.shares, name) < 0.1]
    if edges:
        lines.append(
            f"the optimum may lie on the edge of the triangle, with no growth of {' or '.join(edges)}: "
            "a normal answer, but check it with longer trainings"
        )
    return lines
