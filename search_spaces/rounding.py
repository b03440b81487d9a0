"""How fractional widths, depths and resolutions become whole ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def round_channels(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, at least `divisor`, and never below 0.9 of `value`.

    With divisor 8 this is MobileNet's and EfficientNet's rule.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def round_layers(value: float) -> int:
    """EfficientNet's rule for repeats: rounded up."""
    # Products such as 1.1 * 10 come out a hair above the integer that is meant.
    return math.ceil(value - 1e-9)


def suitable_divisor(channels: Iterable[float], groups: int = 1) -> int:
    """8, 4 or 2: the largest that is at most half the narrowest of `channels`, so that a step is a small change.

    With `groups` their least common multiples with it.
    """
    narrowest = min(channels)
    steps = [math.lcm(divisor, groups) for divisor in (8, 4, 2)]
    return next((step for step in steps if step <= narrowest / 2), steps[-1])


def apportion(weights: Sequence[int], total: int, *, digits: int = 9) -> list[int]:
    """`total` whole layers divided in proportion to `weights` by largest remainder, at least 1 each.

    Of remainders that agree to so many digits the first wins.
    """
    quotas = [max(1.0, total * weight / sum(weights)) for weight in weights]
    whole = [int(quota + 1e-9) for quota in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda i: (round(whole[i] - quotas[i], digits), i))
    for i in by_remainder[: max(0, total - sum(whole))]:
        whole[i] += 1
    return whole
