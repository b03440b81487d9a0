"""The likelihood of hills, against the integrals that it stands for, and its degrees of freedom."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scaling_search.surface.posterior import SIGNALS, Evidence, draw_surfaces, evidence, log_likelihood
from scaling_search.surface.triangle import Floats, lattice, to_plane


def test_degrees_of_freedom_are_trainings_less_levels_and_slope() -> None:
    accuracy = np.random.default_rng(0).normal(0.6, 0.01, (6, 3))
    assert evidence(accuracy).dof == 6 * 3 - 3
    assert evidence(accuracy, np.arange(6.0)).dof == 6 * 3 - 3 - 1
    accuracy[0, 1] = accuracy[4, 2] = np.nan
    assert evidence(accuracy).dof == 6 * 3 - 2 - 3
    accuracy[:, 0] = np.nan  # a seed that nothing was trained from has no level
    assert evidence(accuracy).dof == 6 * 2 - 2 - 2


def integrated(drops: Floats, data: Evidence) -> float:
    """The logarithm of the likelihood with height and noise summed out over a fine grid, over that of no hill."""
    fall, strength = -float(drops @ data.scores), float(drops @ data.information @ drops)
    scale = np.sqrt(float(data.total) / data.dof)
    noise = np.geomspace(scale / 20, scale * 8, 600)[:, None]
    heights = np.linspace(0, max(0.0, fall / strength) + 12 * scale / np.sqrt(strength), 3000)

    def density(squares: Floats) -> Floats:  # Jeffreys' prior is flat in the logarithm of the noise
        return np.asarray((noise / scale) ** -data.dof * np.exp(-(squares / noise**2 - data.dof) / 2))

    squares = data.total - 2 * heights * fall + heights**2 * strength
    spreads = [noise * np.sqrt(g * data.replicates / strength) for g in SIGNALS]
    found = [(2 * norm.pdf(heights, 0, spread) * density(squares)).sum() * heights[1] for spread in spreads]
    return float(np.log(np.mean(found) / density(np.full(1, data.total)).sum()))


@pytest.mark.parametrize("height", [0.03, 0.006, -0.003])
def test_the_likelihood_is_the_integral_over_height_and_noise(height: float) -> None:
    points = to_plane(lattice(3))
    drops = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    drops /= drops.max()
    noise = np.random.default_rng(1).normal(0, 0.005, (len(points), 2))
    data = evidence(0.6 - height * drops[:, None] + noise)
    assert data.dof == 18
    found = float(log_likelihood(drops[None], data)[0])
    assert found == pytest.approx(integrated(drops, data), abs=0.08)
    fewer = Evidence(data.scores, data.information, data.total, data.dof - 1, data.replicates)
    if height == 0.03:
        assert abs(log_likelihood(drops[None], fewer) - found) > 0.3  # so that one degree more or less would show


def test_drawn_noise_is_as_uncertain_as_its_degrees_of_freedom_say() -> None:
    points = lattice(3)
    surface = -0.2 * ((points - np.array([0.3, 0.3, 0.4])) ** 2).sum(axis=1)
    accuracy = 0.6 + surface[:, None] + np.random.default_rng(2).normal(0, 0.002, (len(points), 2))
    data = evidence(accuracy)
    precision = draw_surfaces(to_plane(points), data).noise ** -2.0
    assert precision.std() / precision.mean() == pytest.approx((2 / data.dof) ** 0.5, rel=0.08)
