"""A run folder read into the data of its page. Pure but for reading; whatever a run has not got yet is left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import UserError
from experiments.report import story
from experiments.report.drawing import drawing
from experiments.report.frontier_data import frontier_data
from experiments.report.guard import Guard
from experiments.report.importance import importance
from experiments.run.folder import STUDIES, RunFolder
from experiments.tables.frontier import FrontierPoint, read_points
from nas.study.attributes import measured
from nas.study.store import read_study
from search_spaces import ArchSpec, fit_arch, format_blocks, reference_arch

PICTURES = (
    ("triangle.svg", "How a doubling of cost is best spent: accuracy over the shares of depth, width and resolution"),
    ("scaling.svg", "Growing one dimension, and all together"),
    ("drift.svg", "How the best shares move with longer training"),
    ("drift.png", "How the best shares move with longer training"),
    ("fidelity.svg", "Whether the short training ranks as a long one would"),
)
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
_COLUMNS = ("number", "state", "score", "accuracy", "macs", "params", "cost", "epochs", "seed", "seconds", "device",
            "id", "blocks")  # fmt: skip

Trials = Mapping[str, Sequence[FrozenTrial]]


class Told(NamedTuple):
    """What one file gives to the page: a sentence, pictures of a network, and rows of a table."""

    sentence: str | None
    drawings: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def collect(folder: RunFolder) -> dict[str, Any]:
    """All that the page of a run shows, as JSON. Raises UserError where run.json cannot be read; what else cannot be is
    left out and named under `unread`."""
    record = folder.read()
    if not isinstance(record, dict):
        raise UserError(f"{folder.record}: not the record of a run")
    guard = Guard()
    studies = {
        name: guard.part(file.name, lambda file=file, name=name: _study(file, name), None)  # type: ignore[misc]
        for name in STUDIES
        if (file := folder.journal(name)).exists()
    }
    trials: Trials = {name: study[1] for name, study in studies.items() if study is not None}
    trainings = None if None in studies.values() else sum(map(_has_value, chain(*trials.values())))
    table = folder.path / "frontier.csv"
    points = guard.part(table.name, lambda: read_points(table) if table.exists() else [], [])
    classes = len(record.get("data", {}).get("classes", ())) or 1000
    baseline = guard.json(folder.baseline, lambda content: _baseline(content, record, classes))
    family = guard.json(folder.family, lambda content: _family(content, points, record, trainings, classes))
    result = guard.json(folder.path / "train.json", lambda content: _trained(content, record, classes))
    growth = guard.json(folder.coefficients, lambda content: (story.grown(content, points), _verdict(content)))
    told = (baseline or family, growth, result)
    costs = [guard.part(f"{name}.journal", partial(_cost, name, trials[name], record), None) for name in trials]
    search = trials.get("discover", ())
    finished = None if studies.get("discover", ()) is None else sum(t.state == TrialState.COMPLETE for t in search)
    return {
        "title": f"{folder.path.resolve().name}: {record.get('data', {}).get('name', 'run')}",
        "story": _story(folder, record, told, points, (finished, trainings)),
        "frontier": guard.part("compare.journal or frontier.csv", lambda: _frontier(points, trials), None),
        "search": guard.part("discover.journal", lambda: _search(search, record), None),
        "architectures": [*(told[0].drawings if told[0] else []), *(result.drawings if result else [])],
        "importance": guard.part("discover.journal", lambda: _importance(studies.get("discover")), []),
        "pictures": guard.part("a picture", lambda: _pictures(folder.path), []),
        "verdict": growth[1] if growth else None,
        "family": family.rows if family else [],
        "failures": guard.part("a journal", lambda: _failures(trials), []),
        "cost": [*filter(None, costs), *(result.rows if result else [])],
        "environment": _environment(record),
        "commands": [
            {"step": name, "command": step["command"], "started": step["started"]}
            for name, step in record.get("steps", {}).items()
        ],
        "unread": guard.unread,
    }  # fmt: skip


def _study(file: Path, name: str) -> tuple[Study, list[FrozenTrial]]:
    study = read_study(file, name)
    return study, study.get_trials(deepcopy=False)


def _has_value(trial: FrozenTrial) -> bool:
    attrs = trial.user_attrs
    return trial.state == TrialState.COMPLETE and measured(attrs) is not None and "duplicate_of" not in attrs


def _story(
    folder: RunFolder,
    record: Mapping[str, Any],
    told: tuple[Told | None, tuple[str, Any] | None, Told | None],
    points: Sequence[FrontierPoint],
    counts: tuple[int | None, int | None],
) -> list[str]:
    """The sentences on top. counts: complete trials of the search, and trainings of all studies with an accuracy.
    Of a file that is there and cannot be read nothing is said, least of all that it is not
    there."""
    network, growth, result = told
    steps = set(record.get("steps", {}))
    finished, trainings = counts
    lines = [story.asked(record, finished)]
    if network is not None and network.sentence is not None:
        lines.append(network.sentence)
    elif steps != {"train"} and not folder.baseline.exists() and not folder.family.exists():
        lines.append(story.nothing_yet(record, trainings))
    if growth is not None:
        lines.append(growth[0])
    elif not folder.coefficients.exists() and (points or not steps or steps & {"discover", "scale"}):
        lines.append(story.grown(None, points))
    if result is not None and result.sentence is not None:
        lines.append(result.sentence)
    elif "train" in steps and not (folder.path / "train.json").exists():
        lines.append(story.training(record))
    return lines


def _importance(study: tuple[Study, list[FrozenTrial]] | None) -> list[dict[str, Any]]:
    return importance(study[0]) if study is not None and study[1] else []


def _frontier(points: Sequence[FrontierPoint], trials: Trials) -> dict[str, Any] | None:
    archs, seeds = {}, dict[str, list[float]]()
    for trial in (*trials.get("scale", ()), *trials.get("compare", ())):
        attrs = trial.user_attrs
        if "arch" in attrs:
            archs[attrs["arch_id"]] = ArchSpec.from_dict(attrs["arch"])
    for trial in trials.get("compare", ()):
        value = measured(trial.user_attrs)
        if trial.state == TrialState.COMPLETE and value is not None:
            seeds.setdefault(trial.user_attrs["arch_id"], []).append(value)
    return frontier_data(points, archs, seeds, "macs")


def _search(trials: Sequence[FrozenTrial], record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every finished trial as a row, columns first: names are written once."""
    if not trials:
        return None
    rows = [_row(trial) for trial in trials if trial.state.is_finished()]
    cost = record.get("cost", {})
    return {
        "columns": _COLUMNS,
        "rows": rows,
        "images": record.get("data", {}).get("images", {}).get("train"),
        "fraction": record.get("identity", {}).get("train fraction", 1.0),
        "target": record.get("score", {}).get("target_macs"),
        "cost": {"name": cost.get("name", "macs"), "words": cost.get("words", ""), "unit": cost.get("unit", "")},
        "running": sum(trial.state == TrialState.RUNNING for trial in trials),
    }


def _row(trial: FrozenTrial) -> list[Any]:
    attrs = trial.user_attrs
    value = measured(attrs)
    complete = trial.state == TrialState.COMPLETE
    why = attrs.get("failure_kind") or attrs.get("pruned_because")
    copied = "copy of #" + str(attrs["duplicate_of"]) if "duplicate_of" in attrs else None
    blocks = format_blocks(ArchSpec.from_dict(attrs["arch"])) if "arch" in attrs else ""
    state = trial.state.name.lower()
    return [
        trial.number, f"{state}: {why or copied}" if why or copied else state,
        round(trial.value, 6) if complete and trial.value is not None else None,
        None if value is None else round(value, 6), attrs.get("macs"), attrs.get("params"),
        attrs.get("cost"), attrs.get("fidelity", {}).get("epochs"), attrs.get("seed"),
        round(attrs["seconds"], 2) if "seconds" in attrs else None, attrs.get("device"), attrs.get("arch_id", ""),
        blocks,
    ]  # fmt: skip


def _baseline(content: Mapping[str, Any], record: Mapping[str, Any], classes: int) -> Told:
    arch = ArchSpec.from_dict(content["arch"])
    drawings = _beside_b0(arch, content["macs"], content.get("num_classes") or classes, "The baseline")
    return Told(story.found(content, record.get("cost", {})), drawings, [])


def _trained(content: Mapping[str, Any], record: Mapping[str, Any], classes: int) -> Told:
    """A full training: its sentence, its network, and what it cost."""
    images = record.get("data", {}).get("images", {}).get("train")
    cost = {
        "step": "train", "trainings": 1, "failed": 0, "seconds": float(content["seconds"]),
        "macs": content["macs"] * content["epochs"] * images if images else None, "devices": str(content["device"]),
    }  # fmt: skip
    arch = ArchSpec.from_dict(content["arch"])
    return Told(story.trained(content), [drawing(arch, classes, "The network trained in full")], [cost])


def _beside_b0(arch: ArchSpec, macs: int, classes: int, title: str) -> list[dict[str, Any]]:
    """A network, and beside it B0 fitted to the same input and MACs where it can be and is another."""
    drawn = [drawing(arch, classes, title)]
    try:
        b0 = replace(reference_arch("efficientnet_b0"), input_channels=arch.input_channels)
        b0 = fit_arch(b0, arch.resolution, macs, num_classes=classes)
    except ValueError:
        return drawn  # too few pixels or MACs for B0 to be shrunk to
    if b0.id == arch.id:
        return drawn
    return [*drawn, drawing(b0, classes, "EfficientNet-B0, fitted to the same input and multiply-adds")]


def _pictures(path: Path) -> list[dict[str, str]]:
    """The run's pictures as images that cannot run or load anything: an SVG in an <img> is drawn without scripts."""
    found = []
    for name, caption in PICTURES:
        file = path / name
        if file.is_file() and not (file.suffix == ".png" and file.with_suffix(".svg").is_file()):
            encoded = base64.b64encode(file.read_bytes()).decode()
            found.append({"caption": caption, "src": f"data:{_KINDS[file.suffix]};base64,{encoded}"})
    return found


def _verdict(coefficients: Mapping[str, Any]) -> dict[str, Any]:
    names = ("alpha", "beta", "gamma")
    intervals = {name: (float(low), float(high)) for name, (low, high) in (coefficients.get("intervals") or {}).items()}
    return {
        "coefficients": [
            {"name": name, "value": float(coefficients[name]), "interval": intervals.get(name)} for name in names
        ],
        "lines": [*coefficients.get("verdict", ()), *filter(None, [coefficients.get("drift")])],
        "cautions": list(coefficients.get("cautions", ())),
    }


def _family(
    members: Sequence[Mapping[str, Any]],
    points: Sequence[FrontierPoint],
    record: Mapping[str, Any],
    trainings: int | None,
    classes: int,
) -> Told:
    """The family's rows, and its first member as the network that was given."""
    names = ("phi", "depth", "width", "resolution", "layers", "dropout", "params", "macs", "nominal_cost", "cost")
    trained = {point.arch_id: point for point in points}
    rows = []
    for member in members:
        point = trained.get(ArchSpec.from_dict(member["arch"]).id)
        figures: dict[str, Any] = {name: float(member[name]) for name in names}
        rows.append(figures | {"accuracy": None if point is None else point.accuracy})
    first = next((member for member in members if member["phi"] == 0), None)
    if first is None:
        return Told(None, [], rows)
    drawings = _beside_b0(ArchSpec.from_dict(first["arch"]), first["macs"], classes, "The network that grows")
    return Told(story.given(first, record, trainings), drawings, rows)


def _failures(trials: Trials) -> list[dict[str, Any]]:
    rows = [
        {"step": step, "number": trial.number, "kind": trial.user_attrs["failure_kind"],
         "message": trial.user_attrs.get("failure_message", ""), "id": trial.user_attrs.get("arch_id", "")}
        for step, all_of in trials.items()
        for trial in all_of
        if "failure_kind" in trial.user_attrs
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["kind"], row["step"], row["number"]))


def _cost(step: str, trials: Sequence[FrozenTrial], record: Mapping[str, Any]) -> dict[str, Any]:
    """What a step has spent: trainings, seconds of a slot, and multiply-adds of the forward passes."""
    images = record.get("data", {}).get("images", {}).get("train")
    done = [t.user_attrs for t in trials if t.state.is_finished() and "seconds" in t.user_attrs]
    trained = [attrs for attrs in done if "duplicate_of" not in attrs and "macs" in attrs]
    forward = sum(a["macs"] * a["fidelity"]["epochs"] * a["fidelity"]["train_fraction"] for a in trained)
    return {
        "step": step, "trainings": len(trained), "failed": sum("failure_kind" in attrs for attrs in done),
        "seconds": sum(attrs["seconds"] for attrs in trained),
        "macs": forward * images if images else None,
        "devices": ", ".join(sorted({a["device"] for a in trained if a.get("device")})),
    }  # fmt: skip


def _environment(record: Mapping[str, Any]) -> list[list[str]]:
    data = record.get("data", {})
    identity = record.get("identity", {})
    rows = {
        "data": data.get("name"),
        "classes": ", ".join(map(str, data.get("classes", ()))),
        "images": ", ".join(f"{n} {split}" for split, n in data.get("images", {}).items() if n),
        **{key: str(value) for key, value in identity.items()},
        "space size": f"{record['space']['size']:.3g}" if "space" in record else None,
        "devices": ", ".join(record.get("devices", ())),
        "machine": record.get("machine"),
        "revision": record.get("git_revision"),
        "versions": ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items()),
        "created": record.get("created"),
        "last started": record.get("updated"),
    }
    return [[key, str(value)] for key, value in rows.items() if value]
