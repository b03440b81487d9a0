"""A run folder read into the data of its page. Pure but for reading; whatever a run has not got yet is left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from experiments.records import (
    BaselineRecord,
    CoefficientsRecord,
    FamilyRecord,
    ForecastRecord,
    RunRecord,
    TrainingRecord,
)
from experiments.report import story
from experiments.report.guard import Guard
from experiments.report.importance import importance
from experiments.report.results import (
    Opponent,
    Told,
    by_class,
    environment,
    tell_baseline,
    tell_family,
    tell_training,
    verdict,
)
from experiments.report.trials import (
    StudyTrials,
    Trials,
    accuracies_of,
    best_trial,
    compared_archs,
    compared_data,
    failures,
    search_data,
    spent,
)
from experiments.run.folder import STUDIES, RunFolder
from experiments.run.models import model_name
from experiments.tables.forecasts import score_line
from experiments.tables.frontier import FrontierPoint, read_points
from experiments.tables.standing import NOT_PRETRAINED, Standing, lacks_pretrained, standing
from nas.files import read_bounded
from nas.study.store import driver_lives
from search_spaces import ArchSpec

PICTURES = (
    ("triangle.svg", "How a doubling of cost is best spent: accuracy over the shares of depth, width and resolution"),
    ("scaling.svg", "Growing one dimension, and all together"),
    ("drift.svg", "How the best shares move with longer training"),
    ("drift.png", "How the best shares move with longer training"),
    ("size_drift.svg", "How the best shares change with the size of the network"),
    ("fidelity.svg", "Whether the short training ranks as a long one would"),
    ("curve.svg", "The full training, epoch by epoch"),
)
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
_LARGEST_PICTURE = 32_000_000  # bytes


class _Results(NamedTuple):
    """What the records give: the network found or given, the coefficients (a sentence, a verdict), a full training."""

    network: Told | None
    growth: tuple[str, dict[str, Any]] | None
    training: Told | None


def collect(folder: RunFolder) -> dict[str, Any]:
    """All that the page of a run shows, as JSON. Raises UserError where run.json cannot be read; what else cannot be is
    left out and named under `unread`."""
    record, guard = folder.read(), Guard()
    lives = driver_lives(folder.path) or record.asked("discover").storage is not None
    studies = {
        name: guard.part(file.name, partial(StudyTrials.read, file, name), None)
        for name in STUDIES
        if (file := folder.journal(name)).exists()
    }
    trials: Trials = {name: study.trials for name, study in studies.items() if study is not None}
    trainings = None if None in studies.values() else sum(trial.trained for trial in chain(*trials.values()))
    table = folder.path / "frontier.csv"
    points = guard.part(table.name, lambda: read_points(table) if table.exists() else [], [])
    placed = standing(points)
    best = None if placed is None else _opponent(placed, compared_archs(trials))
    baseline = guard.record(folder, BaselineRecord, lambda found: tell_baseline(found, record, best))
    expected = guard.record(folder, ForecastRecord, lambda found: found)
    family = guard.record(folder, FamilyRecord, lambda found: tell_family(found, points, record, trainings, expected))
    result = guard.record(folder, TrainingRecord, lambda found: tell_training(found, record))
    growth = guard.record(
        folder, CoefficientsRecord, lambda found: (story.grown(found.finding, points), verdict(found))
    )
    told = _Results(baseline or family, growth, result)
    costs = [guard.part(f"{name}.journal", partial(spent, name, trials[name], record), None) for name in trials]
    search = trials.get("discover", ())
    finished = None if studies.get("discover", ()) is None else sum(trial.complete for trial in search)
    return {
        "title": f"{folder.name}: {record.data.name or 'run'}",
        "story": [
            *_verdict(guard, folder, placed),
            *_story(folder, record, told, points, (finished, trainings)),
            *_what_now(folder, points, placed),
            *_passed_over(guard, folder, trials),
        ],
        "frontier": guard.part("compare.journal or frontier.csv", lambda: compared_data(points, trials), None),
        "search": guard.part("discover.journal", lambda: search_data(search, record, lives=lives), None),
        "architectures": [*(told.network.drawings if told.network else []), *(result.drawings if result else [])],
        "importance": guard.part("discover.journal", lambda: _importance(studies.get("discover")), []),
        "pictures": guard.part("a picture", lambda: _pictures(folder.path), []),
        "verdict": growth[1] if growth else None,
        "family": family.rows if family else [],
        "forecast": None if expected is None else story.forecast(expected, score_line(expected, points)),
        "classes": guard.record(folder, TrainingRecord, by_class) or [],
        "failures": guard.part("a journal", lambda: failures(trials), []),
        "cost": [*filter(None, costs), *(result.rows if result else [])],
        "environment": environment(record),
        "commands": [
            {"step": name, "command": step.command, "started": step.started} for name, step in record.steps.items()
        ],
        "unread": guard.unread,
    }  # fmt: skip


def _opponent(placed: Standing, archs: Mapping[str, ArchSpec]) -> Opponent | None:
    """The best opponent's network, where its training is noted."""
    arch = archs.get(placed.best.arch_id)
    return None if arch is None else Opponent(placed.best.label, arch, placed.own.arch_id)


def _verdict(guard: Guard, folder: RunFolder, placed: Standing | None) -> list[str]:
    """The sentence that comes first: which network to take, of the run's own and the best beside it."""
    if placed is None:
        return []
    called = guard.record(folder, BaselineRecord, lambda found: found.called)
    return [placed.sentence(called or "the baseline")]


def _story(
    folder: RunFolder,
    record: RunRecord,
    told: _Results,
    points: Sequence[FrontierPoint],
    counts: tuple[int | None, int | None],
) -> list[str]:
    """The sentences on top. counts: complete trials of the search, and trainings of all studies with an accuracy.
    Of a file that is there and cannot be read nothing is said, least of all that it is not there."""
    finished, trainings = counts
    steps = set(record.steps)
    lines = [story.asked(record, finished)]
    if told.network is not None and told.network.sentence is not None:
        lines.append(told.network.sentence)
    elif steps != {"train"} and not folder.has(BaselineRecord) and not folder.has(FamilyRecord):
        lines.append(story.nothing_yet(record, trainings))
    if told.growth is not None:
        lines.append(told.growth[0])
    elif not folder.has(CoefficientsRecord) and (points or not steps or steps & {"discover", "scale"}):
        lines.append(story.grown(None, points))
    if told.training is not None and told.training.sentence is not None:
        lines += [told.training.sentence, story.trained_now(folder.name)]
    elif "train" in steps and not folder.has(TrainingRecord):
        lines.append(story.training(record))
    return lines


def _what_now(folder: RunFolder, points: Sequence[FrontierPoint], placed: Standing | None) -> list[str]:
    """What to do with the trained networks, the advised one first; and whether a pretrained one is missing."""
    models = sorted(folder.models.glob("*.safetensors")) if folder.models.is_dir() else []
    if not models:
        return []
    advised = model_name("baseline" if placed is None else placed.advised.label)
    lines = [story.models(folder.name, [file.stem for file in models], advised)]
    if placed is not None and lacks_pretrained(placed, points):
        lines.append(NOT_PRETRAINED)
    return lines


def _passed_over(guard: Guard, folder: RunFolder, trials: Trials) -> list[str]:
    """Why the best trial of the search is not the baseline, where it is not."""
    best = best_trial(trials.get("discover", ()))
    if best is None:
        return []
    again = accuracies_of(trials.get("confirm", ()), best.facts.arch_id)

    def said(baseline: BaselineRecord) -> list[str]:
        # A given network has no accuracy; with fewer or more seeds the confirmation was of another baseline.
        if baseline.accuracy is None or best.facts.arch_id == baseline.id or len(again) != baseline.n:
            return []
        return [story.passed_over(best.number, best.accuracy, again, baseline)]

    return guard.record(folder, BaselineRecord, said) or []


def _importance(study: StudyTrials | None) -> list[dict[str, Any]]:
    return importance(study.study) if study is not None and study.trials else []


def _pictures(path: Path) -> list[dict[str, str]]:
    """The run's pictures as images that cannot run or load anything: an SVG in an <img> is drawn without scripts."""
    found = []
    for name, caption in PICTURES:
        file = path / name
        if file.is_file() and not (file.suffix == ".png" and file.with_suffix(".svg").is_file()):
            encoded = base64.b64encode(read_bounded(file, _LARGEST_PICTURE)).decode()
            found.append({"caption": caption, "src": f"data:{_KINDS[file.suffix]};base64,{encoded}"})
    return found
