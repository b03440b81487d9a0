"""The family of a baseline, as EfficientNet's B0 to B7 and two sizes below: what every phi makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scaling_search.coefficients import DWR, Coefficients
from scaling_search.compound import scale_arch
from scaling_search.matching import Baseline, CannotShrinkError
from search_spaces import ArchSpec, count_params

PHIS: tuple[float, ...] = tuple(range(-2, 8))


def untold(_line: str) -> None:
    """Where nobody asks why a network is left out."""


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
    coefficients: Coefficients | Callable[[float], Coefficients],
    phis: Iterable[float] = PHIS,
    rule: str = "thrifty",
    *,
    num_classes: int = 1000,
    tell: Callable[[str], None] = untold,
) -> tuple[FamilyMember, ...]:
    """The baseline `arch` at every phi, by `scale_arch` with the same `rule`. coefficients: for all of them, or a
    function of phi.

    A phi below 0 to which the baseline cannot shrink is left out, and `tell` is given the reason in one line. Raises
    ValueError as `scale_arch` does for all else.
    """
    baseline = Baseline(arch, num_classes)

    def member(phi: float) -> FamilyMember | None:
        asked = coefficients(phi) if callable(coefficients) else coefficients
        alpha_beta_gamma = asked if rule == "nominal" else Coefficients.from_shares(asked.shares)
        try:
            grown = scale_arch(arch, asked, phi, rule, num_classes=num_classes)
        except CannotShrinkError as error:
            tell(str(error))
            return None
        macs = baseline.count(grown)
        return FamilyMember(
            phi=phi,
            depth=alpha_beta_gamma.depth**phi,
            width=alpha_beta_gamma.width**phi,
            resolution=grown.resolution,
            layers=sum(stage.layers for stage in grown.stages),
            dropout=grown.dropout,
            params=count_params(grown, num_classes=num_classes),
            macs=macs,
            nominal_cost=alpha_beta_gamma.nominal_cost**phi,
            cost=macs / baseline.macs,
            arch=grown,
        )

    return tuple(found for phi in phis if (found := member(phi)) is not None)


def scaling_lines(
    arch: ArchSpec,
    coefficients: Coefficients,
    phis: Iterable[float] = (0, 1, 2),
    rule: str = "thrifty",
    *,
    num_classes: int = 1000,
    tell: Callable[[str], None] = untold,
) -> dict[str, tuple[FamilyMember, ...]]:
    """The networks of the scaling plot: each dimension grown alone, dWr, and all together by the coefficients, at the
    same phis (cost 2^phi). A way has no network at a phi below 0 to which the baseline cannot shrink by it; `tell` is
    given the reason."""
    ways = {
        "depth only": Coefficients(2.0, 1.0, 1.0),
        "width only": Coefficients(1.0, 2**0.5, 1.0),
        "resolution only": Coefficients(1.0, 1.0, 2**0.5),
        "dWr": Coefficients.from_shares(DWR),
        "compound": coefficients,
    }
    phis = tuple(phis)

    def line(name: str, way: Coefficients) -> tuple[FamilyMember, ...]:
        return family(arch, way, phis, rule, num_classes=num_classes, tell=lambda why: tell(f"{name}: {why}"))

    return {name: line(name, way) for name, way in ways.items()}
