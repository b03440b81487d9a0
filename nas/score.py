"""The search's objective: accuracy traded against cost (MnasNet eq. 2 and 3; TuNAS's absolute reward)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

FORMS = ("power", "absolute")
STEEPEST, LARGEST = -10.0, 1e18
"""The smallest exponent, and the largest cost: beyond them a score is no number that can be written."""


@dataclass(frozen=True)
class Score:
    """`accuracy * (macs / target_macs) ** w`, with w = `exponent` up to the target and `exponent_above` beyond it.

    Source: MnasNet (Tan et al., 2019) eq. 2-3, with FLOPs for latency as in EfficientNet. exponent -0.07 twice is the
    soft form; 0 and -1 the hard one. form="absolute" is TuNAS (Bender et al., 2020):
    `accuracy + exponent * |macs / target - 1|`. accuracy is in 0..1, macs and target_macs are above 0, exponents are
    at most 0. Raises ValueError, naming the argument, when one is not.
    """

    target_macs: float
    exponent: float = -0.07
    exponent_above: float | None = None
    form: str = "power"

    def __post_init__(self) -> None:
        if not (_is_number(self.target_macs) and 0 < self.target_macs <= LARGEST):
            raise ValueError(f"target_macs must be above 0 and at most {LARGEST:g}, not {self.target_macs!r:.40}")
        for name, value in (("exponent", self.exponent), ("exponent_above", self.exponent_above)):
            if not (_is_number(value) and STEEPEST <= value <= 0) and not (value is None and name != "exponent"):
                raise ValueError(
                    f"{name} must be at most 0 (cost is a penalty) and at least {STEEPEST:g}, not {value!r:.40}"
                )
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, not {self.form!r}")

    def __call__(self, accuracy: float, macs: float) -> float:
        """Raises ValueError where `macs` are not above 0; the score of an unknown figure, NaN, is NaN."""
        if macs <= 0:
            raise ValueError(f"macs must be above 0, not {macs!r:.40}")
        ratio = macs / self.target_macs
        w = self.exponent if ratio <= 1 or self.exponent_above is None else self.exponent_above
        if self.form == "absolute":
            return accuracy + w * abs(ratio - 1)
        return float(accuracy * ratio**w)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
