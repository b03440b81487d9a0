"""Alpha, beta and gamma, and the same thing said as shares of a doubling of cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Shares(NamedTuple):
    """How a growth of cost is divided over the three dimensions; each in 0..1, their sum 1."""

    depth: float
    width: float
    resolution: float


@dataclass(frozen=True)
class Coefficients:
    """alpha, beta and gamma of EfficientNet (Tan and Le, 2019, eq. 3): growth of depth, width, resolution per phi.

    Raises ValueError, naming the coefficient, when one is below 1 or not finite.
    """

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        for name in ("depth", "width", "resolution"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise ValueError(f"coefficient {name} must be at least 1 (no dimension shrinks), not {value:g}")

    def __str__(self) -> str:
        return f"({self.depth:g}, {self.width:g}, {self.resolution:g})"

    @property
    def nominal_cost(self) -> float:
        """alpha * beta^2 * gamma^2: what one phi multiplies the cost by, before rounding."""
        return self.depth * self.width**2 * self.resolution**2

    @property
    def shares(self) -> Shares:
        """The share of the growth that each dimension takes. Raises ValueError when nothing grows."""
        logs = (math.log(self.depth), 2 * math.log(self.width), 2 * math.log(self.resolution))
        total = sum(logs)
        if total <= 0:
            raise ValueError("coefficients of 1, 1, 1 grow nothing: at least one must be above 1")
        return Shares(*(value / total for value in logs))

    @classmethod
    def from_shares(cls, shares: tuple[float, float, float], cost: float = 2.0) -> Coefficients:
        """The coefficients that divide a growth by `cost` (above 1) in these shares: alpha = cost^s_d and so on.

        Raises ValueError when a share is negative or their sum is not 1.
        """
        if min(shares) < -1e-9 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"shares must be at least 0 and sum to 1, not {', '.join(f'{s:g}' for s in shares)}")
        depth, width, resolution = (max(0.0, share) for share in shares)
        return cls(cost**depth, cost ** (width / 2), cost ** (resolution / 2))


DWR = Shares(0.1, 0.8, 0.1)
"""The rule dWr of Dollar et al. (2021, *Fast and accurate model scaling*): of a growth of cost the power 0.8 goes to
the width and 0.1 each to depth and resolution, so that activations grow little more than with the root of the cost."""
EFFICIENTNET = Coefficients(1.2, 1.1, 1.15)
"""What Tan and Le (2019, section 4) found for EfficientNet-B0 on ImageNet: what people take who do not search."""
