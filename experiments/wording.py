"""Figures as people say them: counts, sizes, times, accuracies."""

from __future__ import annotations

from nas.evaluation import ACCURACY, metric_of

DAY, HOUR = 86_400.0, 3_600.0


def in_units(count: float, digits: str = ".3g", *, giga: str = " G", mega: str = " M", kilo: str = " k") -> str:
    """A count in thousands, millions or billions, with the unit's name after it: 385814752 is `386 M`.

    digits: the number's format. A count below a thousand stands in the same format without a unit.
    """
    for unit, name in ((1e9, giga), (1e6, mega), (1e3, kilo)):
        if count >= unit:
            return f"{count / unit:{digits}}{name}"
    return f"{count:{digits}}"


def size(count: float) -> str:
    """Bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def duration(seconds: float) -> str:
    """About how long something takes: `42 s`, `7 min`, `3.5 h`, `2.1 days`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / DAY:.1f} days"


def countdown(seconds: float) -> str:
    """What a clock shows that runs down: `0:42`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def metric_words(metric: str | None) -> str:
    """The name of a metric; accuracy where none is told."""
    return (metric or ACCURACY).replace("_", " ")


def measured_by(recipe: str) -> str:
    """What the values of trainings by a recipe are, in words: its name tells the metric where that is another."""
    return metric_words(metric_of(recipe))


def percent(accuracy: float, spread: float | None = None) -> str:
    """An accuracy in 0..1, with its standard deviation where known."""
    return f"{100 * accuracy:.1f} %" + (f" ± {100 * spread:.1f}" if spread else "")
