"""What was asked and what came out, in three sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.frontier import FrontierPoint


def story(
    record: Mapping[str, Any],
    counts: Mapping[str, int],
    baseline: Mapping[str, Any] | None,
    coefficients: Mapping[str, Any] | None,
    points: Sequence[FrontierPoint],
) -> list[str]:
    """Three sentences: the question, the network, the growth and the comparison. What is not there yet is said."""
    return [_asked(record, counts), _found(baseline, counts), _grown(coefficients, points)]


def short(count: float) -> str:
    """Three digits and a unit: 385814752 is `386 M`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.3g}"


def percent(accuracy: float, spread: float | None = None) -> str:
    """An accuracy in 0..1 for people, with its standard deviation where known."""
    return f"{100 * accuracy:.1f} %" + (f" ± {100 * spread:.1f}" if spread else "")


def _asked(record: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    data = record.get("data", {})
    images = data.get("images", {})
    what = f"{data.get('name', 'unknown data')}"
    if images:
        classes = len(data.get("classes", ()))
        what += f" ({classes} classes, {images.get('train', 0):,} training images)"
    settings = record.get("steps", {}).get("discover", {}).get("settings")
    if settings is None:
        return f"On {what}, a given network was to be grown or compared; no search was asked for."
    score = record.get("score", {})
    cost = record.get("cost", {})
    if cost.get("name", "macs") == "macs":
        target = f"about {short(score.get('target_macs', 0))} multiply-adds"
    else:
        target = f"a {cost['words']} of about {score.get('target_macs', 0):.4g} {cost.get('unit', '')}".rstrip()
    return (
        f"On {what}, a network of {target} was searched for with {settings['trials']} trials of "
        f"{settings['epochs']} epochs, {counts.get('complete', 0)} of which are finished."
    )


def _found(baseline: Mapping[str, Any] | None, counts: Mapping[str, int]) -> str:
    if baseline is None:
        return f"No baseline is chosen yet; {counts.get('complete', 0)} trials have an accuracy so far."
    size = f"{short(baseline['macs'])} multiply-adds and {short(baseline['params'])} parameters"
    if baseline.get("accuracy") is None:
        return f"The baseline was given: {size}."
    seeds = f", mean of {baseline['n']} fresh seeds" if baseline["n"] > 1 else ""
    return (
        f"It found one of {size} that reaches {percent(baseline['accuracy'], baseline.get('accuracy_std'))} on "
        f"{baseline.get('split', 'val')} after the short training{seeds}."
    )


def _grown(coefficients: Mapping[str, Any] | None, points: Sequence[FrontierPoint]) -> str:
    if coefficients is None:
        grown = "How to grow it has not been measured yet"
    else:
        c = coefficients
        factors = f"depth x {c['alpha']:.2f}, width x {c['beta']:.2f}, resolution x {c['gamma']:.2f}"
        grown = f"Each doubling of its cost goes by the search to {factors}"
    own = [point for point in points if point.role in ("baseline", "family")]
    known = [point for point in points if point.role == "reference"]
    if not own:
        return grown + ("." if not known else f"; {len(known)} known networks were trained beside it.")
    best = max(own, key=lambda point: point.accuracy)
    line = f"{grown}; its best trained member" if best.role == "family" else f"{grown}; the baseline itself"
    line += f" reaches {percent(best.accuracy, best.std)} on {best.split} at {short(best.macs)} multiply-adds"
    if known:
        rival = max(known, key=lambda point: point.accuracy)
        line += f", the best known network beside it {percent(rival.accuracy, rival.std)} at {short(rival.macs)}"
        line += f" ({rival.label})"
    return line + "."
