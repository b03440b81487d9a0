"""Figures as people say them: counts, sizes, times, accuracies."""

from __future__ import annotations

import re

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


FOUND = "the network found"
"""How sentences call a baseline that a search found."""
_PUBLISHED = (
    (r"efficientnet_v2_([a-z]+)", lambda found: f"EfficientNetV2-{found[1].upper()}"),
    (r"efficientnet_(b\d|lite\d)", lambda found: f"EfficientNet-{found[1].capitalize()}"),
    (r"mobilenet_v1_(\d)(\d+)", lambda found: f"MobileNetV1-{found[1]}.{found[2]}"),
    (r"mobilenet_v4_conv_small", lambda _: "MobileNetV4-Conv-S"),
    (r"mobilenet_v(\d)_(large|small)", lambda found: f"MobileNetV{found[1]}-{found[2].capitalize()}"),
    (r"(mobile|shuffle)net_v(\d)", lambda found: f"{found[1].capitalize()}NetV{found[2]}"),
    (r"mnasnet_([ab]\d)", lambda found: f"MnasNet-{found[1].upper()}"),
    (r"squeezenet(\d)_(\d)", lambda found: f"SqueezeNet {found[1]}.{found[2]}"),
    (r"xception", lambda _: "Xception"),
    (r"wide_resnet(\d+)_(\d)", lambda found: f"Wide ResNet-{found[1]}-{found[2]}"),
    (r"resnet(\d+)", lambda found: f"ResNet-{found[1]}"),
    (r"plain_resnet", lambda _: "plain ResNet"),
    (r"plain_mbconv", lambda _: "plain MBConv"),
    (r"pooled_mbconv", lambda _: "pooled MBConv"),
    (r"\(1\.2, 1\.1, 1\.15\)", lambda _: "EfficientNet's (1.2, 1.1, 1.15)"),
)
"""Names of known networks as the command has them, and as their papers do."""


def as_published(label: str) -> str:
    """A point's label with the names of known networks as people write them, and of a path its last part:
    `mobilenet_v2, pretrained` is `MobileNetV2, pretrained`, `runs/mine` and `nets/mine.json` are `mine`. For pictures;
    where a name is to be typed it stays as the command has it.
    """
    label = re.sub(r"(?<![^\s,])(?:[\w.~-]*/)*([\w.~-]+?)(?:\.json)?(?![^\s,])", r"\1", label)
    for name, written in _PUBLISHED:
        label = re.sub(rf"(?<![\w.-]){name}(?![\w.-])", written, label)
    return label


def drawn_name(label: str, role: str) -> str:
    """A point's name in pictures, as `as_published`; the run's baseline, which would be read as what is to be beaten,
    is `this run's network`."""
    own = re.sub(r"\bbaseline\b", "this run's network", label) if role in ("baseline", "distilled") else label
    return as_published(own)


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
