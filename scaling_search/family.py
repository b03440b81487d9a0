"""The family B0..B7 of a baseline: what every phi makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scaling_search.coefficients import Coefficients
from scaling_search.compound import scale_arch
from scaling_search.matching import Baseline
from search_spaces import ArchSpec, count_params

PHIS: tuple[float, ...] = tuple(range(8))


@dataclass(frozen=True)
class FamilyMember:
    """One size of a family.

    depth and width are the factors asked for on layers and channels, layers the blocks there are, resolution pixels,
    macs and params counts. nominal_cost is what the coefficients promise as a ratio to the baseline's MACs, cost what
    was counted.
    """

    phi: float
    depth: float
    width: float
    resolution: int
    layers: int
    dropout: float
    params: int
    macs: int
    nominal_cost: float
    cost: float
    arch: ArchSpec


def family(
    arch: ArchSpec,
    coefficients: Coefficients,
    phis: Iterable[float] = PHIS,
    rule: str = "matched",
    *,
    num_classes: int = 1000,
) -> tuple[FamilyMember, ...]:
    """The baseline `arch` at every phi, by `scale_arch` with the same `rule`. Raises ValueError as that does."""
    baseline = Baseline(arch, num_classes)

    def member(phi: float) -> FamilyMember:
        grown = scale_arch(arch, coefficients, phi, rule, num_classes=num_classes)
        asked = Coefficients(
            *(value**phi for value in (coefficients.depth, coefficients.width, coefficients.resolution))
        )
        if rule == "matched" and phi > 0:
            asked = Coefficients.from_shares(coefficients.shares, 2.0**phi)
        macs = baseline.count(grown)
        return FamilyMember(
            phi=phi,
            depth=asked.depth,
            width=asked.width,
            resolution=grown.resolution,
            layers=sum(stage.layers for stage in grown.stages),
            dropout=grown.dropout,
            params=count_params(grown, num_classes=num_classes),
            macs=macs,
            nominal_cost=asked.nominal_cost,
            cost=macs / baseline.macs,
            arch=grown,
        )

    return tuple(member(phi) for phi in phis)


def scaling_lines(
    arch: ArchSpec,
    coefficients: Coefficients,
    phis: Iterable[float] = (0, 1, 2),
    rule: str = "matched",
    *,
    num_classes: int = 1000,
) -> dict[str, tuple[FamilyMember, ...]]:
    """The networks of the scaling plot: each dimension grown alone, and all together, at the same phis (cost 2^phi)."""
    ways = {
        "depth only": Coefficients(2.0, 1.0, 1.0),
        "width only": Coefficients(1.0, 2**0.5, 1.0),
        "resolution only": Coefficients(1.0, 1.0, 2**0.5),
        "compound": coefficients,
    }
    phis = tuple(phis)
    return {name: family(arch, way, phis, rule, num_classes=num_classes) for name, way in ways.items()}
