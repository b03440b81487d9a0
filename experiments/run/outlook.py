"""The forecast of each step, from what it is about to train."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from experiments.run.context import Bench
from experiments.run.forecast import JOURNAL_BYTES, Forecast, Images, Work, advice, mean, training_seconds
from nas.evaluation import Request
from nas.rank_fidelity import say_fidelity
from nas.study.store import read_study
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, SearchSpace

_SAMPLE = 64  # networks of the space that stand for it
_KEPT = 12  # bytes of a checkpoint for each parameter: weights, momentum and their copy
_LONG = 60.0


def outlook_discover(bench: Bench, space: SearchSpace, target_macs: float, max_macs: float | None) -> Forecast:
    """What the search and the confirmation of its best will cost; says it, with advice where it is more than a day."""
    settings = bench.settings
    archs = _sample(bench, space, max_macs)
    images = bench.pool.images or Images(0, 0, 1)
    search = Work("search", max(0, settings.trials - _begun(bench)), _mean_macs(bench, archs), bench.proxy, images)
    confirm = Work("confirmation", settings.confirm * settings.confirm_seeds, target_macs, bench.proxy, images)
    works = [search, confirm] if bench.problem.noisy else [search]
    return _say(bench, works, archs, target_macs, "--trials")


def outlook_scale(
    bench: Bench, requests: Sequence[Request], plot: Sequence[Request], base_macs: float, budget: int | None
) -> Forecast:
    """What the coefficient search will cost, of which at most `budget` trainings are made, and what its `plot` will."""
    images = bench.pool.images or Images(0, 0, 1)
    open_requests = bench.unanswered("scale", requests)
    share = (
        1.0
        if budget is None
        else min(1.0, max(0, budget - len(requests) + len(open_requests)) / max(1, len(open_requests)))
    )
    works = []
    for fidelity in sorted({request.fidelity for request in open_requests}, key=lambda f: f.epochs):
        archs = [request.arch for request in open_requests if request.fidelity == fidelity]
        works.append(Work("points", round(share * len(archs)), _mean_macs(bench, archs), fidelity, images))
    asked = {request.key for request in requests}
    drawn = [request for request in bench.unanswered("scale", plot) if request.key not in asked]
    if drawn:
        macs = _mean_macs(bench, [request.arch for request in drawn])
        works.append(Work("scaling plot", len(drawn), macs, drawn[0].fidelity, images))
    return _say(bench, works, [request.arch for request in [*open_requests, *drawn]], base_macs, "--budget")


def outlook_list(bench: Bench, name: str, requests: Sequence[Request], option: str) -> Forecast:
    """What training those of the requests that the journal `name` lacks will cost; option: the one that bounds them."""
    images = bench.pool.images or Images(0, 0, 1)
    left = bench.unanswered(name, requests)
    works = []
    for fidelity in dict.fromkeys(request.fidelity for request in left):
        archs = [request.arch for request in left if request.fidelity == fidelity]
        works.append(Work(say_fidelity(fidelity), len(archs), _mean_macs(bench, archs), fidelity, images))
    archs = [request.arch for request in left]
    return _say(bench, works, archs, _mean_macs(bench, archs), option)


def _say(bench: Bench, works: list[Work], archs: Sequence[ArchSpec], target_macs: float, option: str) -> Forecast:
    works = [work for work in works if work.trainings]
    speed = bench.pool.calibrate(archs) if works else bench.pool.speed
    disk = sum(work.trainings for work in works) * JOURNAL_BYTES + _checkpoint_bytes(bench, works, archs)
    evaluator = bench.problem.evaluator
    if isinstance(evaluator, ProxyEvaluator):
        disk += evaluator.dataset.images_path.stat().st_size
    slots = bench.pool.slots
    devices = ", ".join(dict.fromkeys(slot.device for slot in slots))
    forecast = Forecast(tuple(works), speed, len(slots), float(disk), devices)
    for line in forecast.lines:
        bench.narrator.say(line)
    warning = advice(forecast, works[0], target_macs, option) if works else None
    if warning is not None:
        bench.narrator.say(warning)
    return forecast


def _sample(bench: Bench, space: SearchSpace, max_macs: float | None) -> list[ArchSpec]:
    """Networks of the space, drawn evenly, without those that would not be trained."""
    archs = []
    for row in space.sample(np.random.default_rng(0), _SAMPLE):
        with suppress(ValueError):
            arch = space.decode(space.params(row))
            if max_macs is None or bench.cost(arch)[0] <= max_macs:
                archs.append(arch)
    return archs


def _begun(bench: Bench) -> int:
    path = bench.folder.journal("discover")
    if not path.exists():
        return 0
    return sum(trial.state.is_finished() for trial in read_study(path, "discover").get_trials(deepcopy=False))


def _mean_macs(bench: Bench, archs: Sequence[ArchSpec]) -> float:
    return mean([bench.cost(arch)[0] for arch in archs])


def _checkpoint_bytes(bench: Bench, works: Sequence[Work], archs: Sequence[ArchSpec]) -> float:
    speed = bench.pool.speed
    if speed is None or not any(training_seconds(speed, w.macs, w.fidelity, w.images) > _LONG for w in works):
        return 0.0
    return len(bench.pool.slots) * _KEPT * mean([bench.cost(arch)[1] for arch in archs])
