"""The records of a run as the page takes them: networks, the family, the verdict, the environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.records import (
    BaselineRecord,
    CoefficientsRecord,
    FamilyRecord,
    ForecastRecord,
    RunRecord,
    TrainingRecord,
)
from experiments.records.values import needed
from experiments.report import story
from experiments.report.drawing import drawing
from experiments.tables.forecasts import held
from experiments.tables.frontier import FrontierPoint
from search_spaces import ArchSpec

_FIGURES = ("phi", "depth", "width", "resolution", "layers", "dropout", "params", "macs", "nominal_cost", "cost")
_UNKNOWN_CLASSES = 1000


class Opponent(NamedTuple):
    """The best network that a run trained beside its baseline, whose id is `beside`."""

    label: str
    arch: ArchSpec
    beside: str


class Told(NamedTuple):
    """What one file gives to the page: a sentence, pictures of a network, and rows of a table."""

    sentence: str | None
    drawings: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def tell_baseline(baseline: BaselineRecord, record: RunRecord, best: Opponent | None) -> Told:
    """The baseline's sentence, and its picture beside that of the best opponent, if that was trained beside it."""
    classes = baseline.num_classes or _classes(record)
    drawings = [drawing(baseline.arch, classes, "The baseline")]
    if best is not None and best.beside == baseline.id:
        drawings.append(drawing(best.arch, classes, f"{best.label}, the best network beside it"))
    return Told(story.found(baseline, record.cost), drawings, [])


def tell_training(result: TrainingRecord, record: RunRecord) -> Told:
    """A full training: its sentence, its network, and what it cost."""
    images = record.data.train_images
    cost = {
        "step": "train", "trainings": 1, "failed": 0, "seconds": float(needed(result.seconds, "seconds")),
        "macs": result.macs * result.epochs * images if images else None, "devices": needed(result.device, "device"),
    }  # fmt: skip
    drawn = drawing(needed(result.arch, "arch"), _classes(record), "The network trained in full")
    return Told(story.trained(result), [drawn], [cost])


def by_class(result: TrainingRecord) -> list[dict[str, Any]]:
    """The figures of each class of a full training, the worst first."""
    found = sorted(result.by_class or (), key=lambda each: 1.0 if each.recall is None else each.recall)
    return [
        {"name": each.name, "images": each.images, "recall": each.recall, "precision": each.precision} for each in found
    ]


def tell_family(
    family: FamilyRecord,
    points: Sequence[FrontierPoint],
    record: RunRecord,
    trainings: int | None,
    forecast: ForecastRecord | None,
) -> Told:
    """The family's rows, and its first member as the network that was given. trainings: see `story.given`; forecast:
    what was expected of the members."""
    trained = {point.arch_id: point.accuracy for point in points if point.role != "distilled"}
    told = {} if forecast is None else {each.arch_id: each.in_words for each in forecast.members}
    right = {} if forecast is None else held(forecast, points)
    rows: list[dict[str, Any]] = [
        {name: float(getattr(member, name)) for name in _FIGURES}
        | {"accuracy": trained.get(member.arch.id), "forecast": told.get(member.arch.id)}
        | {"held": None if (inside := right.get(member.arch.id)) is None else "yes" if inside else "no"}
        for member in family.members
    ]
    first = next((member for member in family.members if member.phi == 0), None)
    if first is None:
        return Told(None, [], rows)
    drawn = drawing(first.arch, _classes(record), "The network that grows")
    return Told(story.given(first, record, trainings), [drawn], rows)


def verdict(record: CoefficientsRecord) -> dict[str, Any]:
    """The coefficients with their intervals, the findings and what weakens them."""
    found = record.finding
    intervals = found.intervals or {}
    return {
        "coefficients": [
            {"name": name, "value": float(value), "interval": intervals.get(name)}
            for name, value in (("alpha", found.alpha), ("beta", found.beta), ("gamma", found.gamma))
        ],
        "lines": [*found.verdict, *record.rule_line, *filter(None, [record.drift])],
        "cautions": list(record.cautions),
    }


def environment(record: RunRecord) -> list[list[str]]:
    """Data, identity and surroundings of a run, as names and texts; what is not known is left out."""
    data = record.data
    rows = {
        "data": data.name,
        "classes": ", ".join(data.classes or ()),
        "images": ", ".join(f"{n} {split}" for split, n in (data.images or {}).items() if n),
        **{key: str(value) for key, value in record.identity.items()},
        "space size": None if record.space is None else f"{record.space.size:.3g}",
        "devices": ", ".join(record.devices),
        "machine": record.machine,
        "revision": record.git_revision,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "created": record.created,
        "last started": record.updated,
    }
    return [[key, value] for key, value in rows.items() if value]


def _classes(record: RunRecord) -> int:
    return record.data.num_classes or _UNKNOWN_CLASSES
