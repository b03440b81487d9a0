"""The forecast of each step, from what it is about to train."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from experiments.run.context import RunContext
from experiments.run.forecast import JOURNAL_BYTES, Forecast, Images, Work, advice, mean, training_seconds
from nas.evaluation import Request
from nas.rank_fidelity import say_fidelity
from nas.study.store import read_study
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, SearchSpace

_SAMPLE = 64  # networks of the space that stand for it
_KEPT = 12  # bytes of a checkpoint for each parameter: weights, momentum and their copy
_LONG = 60.0


def outlook_discover(run: RunContext, space: SearchSpace, target_macs: float, max_macs: float | None) -> Forecast:
    """What the search and the confirmation of its best will cost; says it, with advice where it is more than a day."""
    asked = run.settings.search
    archs = sample_space(run, space, max_macs)
    images = run.pool.images or Images(0, 0, 1)
    search = Work("search", max(0, asked.trials - _begun(run)), _mean_macs(run, archs), run.proxy, images)
    confirm = Work("confirmation", asked.confirm * asked.confirm_seeds, target_macs, run.confirmation, images)
    works = [search, confirm] if run.problem.noisy else [search]
    return _forecast(run, works, archs, target_macs, "--trials")


def outlook_scale(
    run: RunContext, requests: Sequence[Request], plot: Sequence[Request], base_macs: float, budget: int | None
) -> Forecast:
    """What the coefficient search will cost, of which at most `budget` trainings of each length are made, and what its
    `plot` will."""
    images = run.pool.images or Images(0, 0, 1)
    open_requests = run.unanswered("scale", requests)
    works = []
    for fidelity in sorted({request.fidelity for request in open_requests}, key=lambda f: f.epochs):
        archs = [request.arch for request in open_requests if request.fidelity == fidelity]
        made = sum(request.fidelity == fidelity for request in requests) - len(archs)
        left = len(archs) if budget is None else min(len(archs), max(0, budget - made))
        works.append(Work("points", left, _mean_macs(run, archs), fidelity, images))
    asked = {request.key for request in requests}
    drawn = [request for request in run.unanswered("scale", plot) if request.key not in asked]
    if drawn:
        macs = _mean_macs(run, [request.arch for request in drawn])
        works.append(Work("scaling plot", len(drawn), macs, drawn[0].fidelity, images))
    return _forecast(run, works, [request.arch for request in [*open_requests, *drawn]], base_macs, "--budget")


def outlook_list(
    run: RunContext, name: str, requests: Sequence[Request], option: str | None, what: str | None = None
) -> Forecast:
    """What training those of the requests that the journal `name` lacks will cost. option: the one that bounds them, if
    there is one; what: they are for, in words (None: how long they are)."""
    images = run.pool.images or Images(0, 0, 1)
    left = run.unanswered(name, requests)
    works = []
    for fidelity in dict.fromkeys(request.fidelity for request in left):
        archs = [request.arch for request in left if request.fidelity == fidelity]
        works.append(Work(what or say_fidelity(fidelity), len(archs), _mean_macs(run, archs), fidelity, images))
    archs = [request.arch for request in left]
    return _forecast(run, works, archs, _mean_macs(run, archs), option)


def _forecast(
    run: RunContext, works: list[Work], archs: Sequence[ArchSpec], target_macs: float, option: str | None
) -> Forecast:
    works = [work for work in works if work.trainings]
    speed = run.pool.calibrate(archs) if works else run.pool.speed
    disk = sum(work.trainings for work in works) * JOURNAL_BYTES + _checkpoint_bytes(run, works, archs)
    evaluator = run.problem.evaluator
    if isinstance(evaluator, ProxyEvaluator):
        disk += evaluator.dataset.images_path.stat().st_size
    slots = run.pool.slots
    devices = ", ".join(dict.fromkeys(slot.device for slot in slots))
    forecast = Forecast(tuple(works), speed, len(slots), float(disk), devices)
    for line in forecast.lines:
        run.narrator.say(line)
    warning = advice(forecast, works[0], target_macs, option) if works and option is not None else None
    if warning is not None:
        run.narrator.say(warning)
    return forecast


def sample_space(run: RunContext, space: SearchSpace, max_macs: float | None) -> list[ArchSpec]:
    """Networks of the space, drawn evenly, without those that would not be trained."""
    archs = []
    for row in space.sample(np.random.default_rng(0), _SAMPLE):
        with suppress(ValueError):
            arch = space.decode(space.params(row))
            if max_macs is None or run.macs.of(arch) <= max_macs:
                archs.append(arch)
    return archs


def _begun(run: RunContext) -> int:
    path = run.folder.journal("discover")
    if not path.exists():
        return 0
    return sum(trial.state.is_finished() for trial in read_study(path, "discover").get_trials(deepcopy=False))


def _mean_macs(run: RunContext, archs: Sequence[ArchSpec]) -> float:
    return mean([run.macs.of(arch) for arch in archs])


def _checkpoint_bytes(run: RunContext, works: Sequence[Work], archs: Sequence[ArchSpec]) -> float:
    speed = run.pool.speed
    if speed is None or not any(training_seconds(speed, w.macs, w.fidelity, w.images) > _LONG for w in works):
        return 0.0
    return len(run.pool.slots) * _KEPT * mean([run.params.of(arch) for arch in archs])
