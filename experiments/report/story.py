"""What was asked and what came out, in a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tables.frontier import FrontierPoint

_ASKED = {
    "scale": "a given network was to be grown",
    "compare": "networks were to be trained alike and compared",
    "fidelity": "it was to be measured whether a short training ranks networks as a long one does",
    "train": "one network was to be trained in full",
}


def asked(record: Mapping[str, Any], finished: int | None) -> str:
    """The question. finished: complete trials of the search (None: not known)."""
    data = record.get("data", {})
    images = data.get("images", {})
    what = f"{data.get('name', 'unknown data')}"
    if images:
        classes = len(data.get("classes", ()))
        what += f" ({classes} classes, {images.get('train', 0):,} training images)"
    settings = record.get("steps", {}).get("discover", {}).get("settings")
    if settings is None:
        steps = [words for step, words in _ASKED.items() if step in record.get("steps", {})]
        return f"On {what}, {'; '.join(steps or ['nothing was begun yet'])}; no search was asked for."
    score = record.get("score", {})
    cost = record.get("cost", {})
    if cost.get("name", "macs") == "macs":
        target = f"about {short(score.get('target_macs', 0))} multiply-adds"
    else:
        target = f"a {cost['words']} of about {score.get('target_macs', 0):.4g} {cost.get('unit', '')}".rstrip()
    done = "" if finished is None else f", {finished} of which are finished"
    return (
        f"On {what}, a network of {target} was searched for with {settings['trials']} trials of "
        f"{settings['epochs']} epochs{done}."
    )


def found(baseline: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """The network that the run has, found or given. cost: what the search charged for, as run.json has it."""
    size = _size(baseline)
    if baseline.get("accuracy") is None:
        return f"The baseline was given: {size}."
    if cost.get("name", "macs") not in ("macs", "params") and baseline.get("cost") is not None:
        size += (
            f", with a {cost.get('words', cost['name'])} of {baseline['cost']:.3g} {cost.get('unit', '')}".rstrip()
            + ","
        )
    seeds = f", mean of {baseline['n']} fresh seeds" if baseline["n"] > 1 else ""
    return (
        f"It found one of {size} that reaches {percent(baseline['accuracy'], baseline.get('accuracy_std'))} on "
        f"{baseline.get('split', 'val')} after the short training{seeds}."
    )


def given(member: Mapping[str, Any], record: Mapping[str, Any], trainings: int | None) -> str:
    """The network that grew without having been searched for: phi 0 of family.json. trainings: those of all studies
    that have an accuracy (None: not known)."""
    names = record.get("steps", {}).get("scale", {}).get("settings", {}).get("arch")
    if names is not None and not names:
        origin = "No network was given, so EfficientNet-B0 was fitted to the target"
    else:
        origin = "The network was given" + (f" ({', '.join(names)})" if names else "")
    return f"{origin}: {_size(member)}{_trainings(trainings)}."


def nothing_yet(record: Mapping[str, Any], trainings: int | None) -> str:
    """No network is known. trainings: as for `given`."""
    steps = record.get("steps", {})
    if "discover" in steps or "scale" not in steps:
        what = "No baseline is chosen yet" if "discover" in steps else "No baseline was asked for"
    else:
        what = "The family of the network to grow is not known yet"
    return f"{what}{_trainings(trainings)}."


def trained(result: Mapping[str, Any]) -> str:
    """What came out of a full training, from train.json."""
    accuracy, weights = result["accuracy"], result["weights"]
    test = "" if accuracy["test"] is None else f" and {percent(accuracy['test'])} on test"
    if weights["kept"] == "best":
        chosen = f"epoch {weights['epoch']}, the best on val, whose figure is flattered by that"
    else:
        chosen = "the last epoch"
    length = f"{result['epochs']} epoch{'' if result['epochs'] == 1 else 's'}"
    start = f", starting from {result['started_from']}" if result.get("started_from") else ""
    return (
        f"A network of {_size(result)} was trained for {length} of recipe {result['recipe']}{start}; "
        f"it reaches {percent(accuracy['val'])} on val{test} (weights of {chosen})."
    )


def training(record: Mapping[str, Any]) -> str:
    """A full training that was begun and has no result yet."""
    identity = record.get("identity", {})
    return (
        f"A training of {identity.get('training epochs', '?')} epochs of recipe "
        f"{identity.get('training recipe', '?')} was begun; it has no result yet."
    )


def short(count: float) -> str:
    """Three digits and a unit: 385814752 is `386 M`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.3g}"


def percent(accuracy: float, spread: float | None = None) -> str:
    """An accuracy in 0..1 for people, with its standard deviation where known."""
    return f"{100 * accuracy:.1f} %" + (f" ± {100 * spread:.1f}" if spread else "")


def _size(network: Mapping[str, Any]) -> str:
    return f"{short(network['macs'])} multiply-adds and {short(network['params'])} parameters"


def _trainings(count: int | None) -> str:
    return "" if count is None else f"; {count} training{' has' if count == 1 else 's have'} an accuracy so far"


def grown(coefficients: Mapping[str, Any] | None, points: Sequence[FrontierPoint]) -> str:
    """How the network grows, and what it and its family reach beside known networks."""
    if coefficients is None:
        line = "How to grow it has not been measured yet"
    else:
        c = coefficients
        factors = f"depth x {c['alpha']:.2f}, width x {c['beta']:.2f}, resolution x {c['gamma']:.2f}"
        line = f"Each doubling of its cost goes by the search to {factors}"
    own = [point for point in points if point.role in ("baseline", "family")]
    known = [point for point in points if point.role == "reference"]
    if not own:
        return line + ("." if not known else f"; {len(known)} known networks were trained beside it.")
    best = max(own, key=lambda point: point.accuracy)
    line += "; its best trained member" if best.role == "family" else "; the baseline itself"
    line += f" reaches {percent(best.accuracy, best.std)} on {best.split} at {short(best.macs)} multiply-adds"
    if known:
        rival = max(known, key=lambda point: point.accuracy)
        line += f", the best known network beside it {percent(rival.accuracy, rival.std)} at {short(rival.macs)}"
        line += f" ({rival.label})"
    return line + "."
