"""A run folder read into the data of its page. Pure but for reading; whatever a run has not got yet is left out."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from experiments.frontier import FrontierPoint, read_points
from experiments.report.drawing import drawing
from experiments.report.frontier_data import frontier_data
from experiments.report.importance import importance
from experiments.report.story import story
from experiments.run_folder import RunFolder, read_json
from experiments.status import STUDIES
from nas.store import read_study
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


def collect(folder: RunFolder) -> dict[str, Any]:
    """All that the page of a run shows, as JSON. Raises UserError or ValueError where a file cannot be read."""
    record = folder.read()
    studies = {name: read_study(folder.journal(name), name) for name in STUDIES if folder.journal(name).exists()}
    trials = {name: study.get_trials(deepcopy=False) for name, study in studies.items()}
    search = trials.get("discover", ())
    baseline = _json(folder.baseline)
    coefficients = _json(folder.coefficients)
    table = folder.path / "frontier.csv"
    points = read_points(table) if table.exists() else []
    classes = (baseline or {}).get("num_classes") or len(record.get("data", {}).get("classes", ())) or 1000
    counts = Counter(trial.state.name.lower() for trial in search)
    return {
        "title": f"{folder.path.resolve().name}: {record.get('data', {}).get('name', 'run')}",
        "story": story(record, counts, baseline, coefficients, points),
        "frontier": _frontier(points, trials),
        "search": _search(search, record),
        "architectures": _architectures(baseline, classes),
        "importance": importance(studies["discover"]) if search else [],
        "pictures": _pictures(folder.path),
        "verdict": _verdict(coefficients),
        "family": _family(_json(folder.family), points),
        "failures": _failures(trials),
        "cost": _cost(trials, record),
        "environment": _environment(record),
        "commands": [
            {"step": name, "command": step["command"], "started": step["started"]}
            for name, step in record.get("steps", {}).items()
        ],
    }


def _frontier(points: Sequence[FrontierPoint], trials: Trials) -> dict[str, Any] | None:
    archs, seeds = {}, dict[str, list[float]]()
    for trial in (*trials.get("scale", ()), *trials.get("compare", ())):
        attrs = trial.user_attrs
        if "arch" in attrs:
            archs[attrs["arch_id"]] = ArchSpec.from_dict(attrs["arch"])
    for trial in trials.get("compare", ()):
        attrs = trial.user_attrs
        if trial.state == TrialState.COMPLETE and "accuracy" in attrs:
            seeds.setdefault(attrs["arch_id"], []).append(attrs["accuracy"])
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
    complete = trial.state == TrialState.COMPLETE
    why = attrs.get("failure_kind") or attrs.get("pruned_because")
    copied = "copy of #" + str(attrs["duplicate_of"]) if "duplicate_of" in attrs else None
    blocks = format_blocks(ArchSpec.from_dict(attrs["arch"])) if "arch" in attrs else ""
    state = trial.state.name.lower()
    return [
        trial.number, f"{state}: {why or copied}" if why or copied else state,
        round(trial.value, 6) if complete and trial.value is not None else None,
        round(attrs["accuracy"], 6) if "accuracy" in attrs else None, attrs.get("macs"), attrs.get("params"),
        attrs.get("cost"), attrs.get("fidelity", {}).get("epochs"), attrs.get("seed"),
        round(attrs["seconds"], 2) if "seconds" in attrs else None, attrs.get("device"), attrs.get("arch_id", ""),
        blocks,
    ]  # fmt: skip


def _architectures(baseline: Mapping[str, Any] | None, classes: int) -> list[dict[str, Any]]:
    """The baseline, and beside it B0 fitted to the same input and MACs where it can be."""
    if baseline is None:
        return []
    arch = ArchSpec.from_dict(baseline["arch"])
    drawn = [drawing(arch, classes, "The baseline")]
    try:
        b0 = replace(reference_arch("efficientnet_b0"), input_channels=arch.input_channels)
        b0 = fit_arch(b0, arch.resolution, baseline["macs"], num_classes=classes)
    except ValueError:
        return drawn  # too few pixels or MACs for B0 to be shrunk to
    return [*drawn, drawing(b0, classes, "EfficientNet-B0, fitted to the same input and cost")]


def _pictures(path: Path) -> list[dict[str, str]]:
    """The run's pictures as images that cannot run or load anything: an SVG in an <img> is drawn without scripts."""
    found = []
    for name, caption in PICTURES:
        file = path / name
        if file.is_file() and not (file.suffix == ".png" and file.with_suffix(".svg").is_file()):
            encoded = base64.b64encode(file.read_bytes()).decode()
            found.append({"caption": caption, "src": f"data:{_KINDS[file.suffix]};base64,{encoded}"})
    return found


def _verdict(coefficients: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if coefficients is None:
        return None
    names = ("alpha", "beta", "gamma")
    intervals = coefficients.get("intervals") or {}
    return {
        "coefficients": [
            {"name": name, "value": coefficients[name], "interval": intervals.get(name)} for name in names
        ],
        "lines": [*coefficients.get("verdict", ()), *filter(None, [coefficients.get("drift")])],
        "cautions": list(coefficients.get("cautions", ())),
    }


def _family(members: Sequence[Mapping[str, Any]] | None, points: Sequence[FrontierPoint]) -> list[dict[str, Any]]:
    names = ("phi", "depth", "width", "resolution", "layers", "dropout", "params", "macs", "nominal_cost", "cost")
    trained = {point.arch_id: point for point in points}
    rows = []
    for member in members or ():
        point = trained.get(ArchSpec.from_dict(member["arch"]).id)
        rows.append({name: member[name] for name in names} | {"accuracy": None if point is None else point.accuracy})
    return rows


def _failures(trials: Trials) -> list[dict[str, Any]]:
    rows = [
        {"step": step, "number": trial.number, "kind": trial.user_attrs["failure_kind"],
         "message": trial.user_attrs.get("failure_message", ""), "id": trial.user_attrs.get("arch_id", "")}
        for step, all_of in trials.items()
        for trial in all_of
        if "failure_kind" in trial.user_attrs
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["kind"], row["step"], row["number"]))


def _cost(trials: Trials, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each step has spent: trainings, seconds of a slot, and multiply-adds of the forward passes."""
    images = record.get("data", {}).get("images", {}).get("train")
    rows = []
    for step, all_of in trials.items():
        done = [t.user_attrs for t in all_of if t.state.is_finished() and "seconds" in t.user_attrs]
        trained = [attrs for attrs in done if "duplicate_of" not in attrs and "macs" in attrs]
        forward = sum(a["macs"] * a["fidelity"]["epochs"] * a["fidelity"]["train_fraction"] for a in trained)
        rows.append({
            "step": step, "trainings": len(trained), "failed": sum("failure_kind" in attrs for attrs in done),
            "seconds": sum(attrs["seconds"] for attrs in trained),
            "macs": forward * images if images else None,
            "devices": ", ".join(sorted({a["device"] for a in trained if a.get("device")})),
        })  # fmt: skip
    return rows


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


def _json(path: Path) -> Any:
    return read_json(path) if path.exists() else None
