"""The search: ask a sampler, train on an executor, store, tell; and the same for a fixed list of trainings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.evaluation import Fidelity, Outcome, Request
from nas.pool.drive import TooManyFailuresError, drive
from nas.pool.executor import Event, Executor, Finished
from nas.study.shared import SharedBookkeeping, SharedStudy
from nas.study.store import charged, measured, outcome_attrs, request_attrs, stored_outcome
from nas.study.trials import Bookkeeping, Cost, OnProgress, Progress, Space, is_final
from search_spaces import ArchSpec

__all__ = [
    "Candidate", "Progress", "Space", "TooManyFailuresError", "candidates", "discover", "evaluate_all", "unanswered",
]  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One architecture of a search. accuracy: the mean over its `n` trained seeds; score: of that mean."""

    arch: ArchSpec
    accuracy: float
    macs: int
    params: int
    score: float
    n: int
    number: int  # of its first trial


def candidates(study: Study, score: Callable[[float, float], float]) -> list[Candidate]:
    """The architectures that the study trained, best score first; of equals the smaller, then the earlier."""
    by_arch: dict[str, list[FrozenTrial]] = defaultdict(list)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if measured(trial.user_attrs) is not None and "duplicate_of" not in trial.user_attrs:
            by_arch[trial.user_attrs["arch_id"]].append(trial)
    found = [_candidate(trials, score) for trials in by_arch.values()]
    return sorted(found, key=lambda c: (-c.score, c.macs, c.number))


def _candidate(trials: list[FrozenTrial], score: Callable[[float, float], float]) -> Candidate:
    first = trials[0].user_attrs
    accuracy = sum(measured(trial.user_attrs) or 0.0 for trial in trials) / len(trials)
    macs, params = first["macs"], first["params"]
    arch = ArchSpec.from_dict(first["arch"])
    return Candidate(
        arch, accuracy, macs, params, score(accuracy, charged(trials[0]) or macs), len(trials), trials[0].number
    )


def discover(
    space: Space,
    score: Callable[[float, float], float],
    sampler: BaseSampler,
    executor: Executor,
    study: Study,
    *,
    trials: int,
    fidelity: Fidelity,
    seed: int,
    cost: Cost,
    max_macs: float | None = None,
    max_params: float | None = None,
    on_event: OnProgress = lambda _: None,
    shared: SharedStudy | None = None,
    priced: Callable[[ArchSpec], float] | None = None,
    max_cost: float | None = None,
    pruner: BasePruner | None = None,
) -> list[Candidate]:
    """Search until the study holds `trials` trials, those there already included, and return its candidates.

    Trials that an earlier run left unfinished go on first, under their own numbers. A request that is answered in the
    journal is not trained again: the trial takes that outcome, and `duplicate_of` names the other. Networks above
    max_macs or max_params, and parameters that decode to none, are told to the sampler without training. Where the
    study is `shared`, other drivers do the same meanwhile, and the search ends when all trials have.

    priced: the second argument of `score`, in place of MACs; kept with each trial as its attribute `cost`. Networks
    for which it is above max_cost are not trained either.
    pruner: stops trials early by the scores of their epochs; what it stops is a trial like others, told to the sampler
    as pruned, but no candidate. It is asked by the search alone: `study.pruner` is left as it is, since samplers would
    see but one of Hyperband's brackets of trials through it.

    Raises KeyboardInterrupt when interrupted, TooManyFailuresError and what the executor raises, all with what is
    finished stored.
    """
    study.sampler = sampler
    limits = (("MACs", max_macs), ("parameters", max_params))
    common = (space, score, study, trials, fidelity, seed, cost, limits, on_event)
    search = (
        Bookkeeping(*common, priced=priced, max_cost=max_cost, pruner=pruner)
        if shared is None
        else SharedBookkeeping(*common, shared=shared, priced=priced, max_cost=max_cost, pruner=pruner)
    )
    drive(search.jobs(), executor, search.handle, None if pruner is None else search.judge)
    return candidates(study, score)


def unanswered(requests: Sequence[Request], study: Study) -> list[Request]:
    """Those of the requests, each once, that `evaluate_all` would train."""
    answers = _answers(study)
    return [request for key, request in {request.key: request for request in requests}.items() if key not in answers]


def _answers(study: Study) -> dict[str, Outcome]:
    """What the study holds, by the requests' keys, but failures that may have been bad luck."""
    stored = {trial.user_attrs.get("request_key"): stored_outcome(trial) for trial in study.get_trials(deepcopy=False)}
    return {str(key): outcome for key, outcome in stored.items() if outcome is not None and is_final(outcome)}


def evaluate_all(
    requests: Sequence[Request],
    executor: Executor,
    study: Study,
    *,
    cost: Cost,
    score: Callable[[float, float], float] = lambda accuracy, _: accuracy,
    params_of: Callable[[Request], Mapping[str, Any]] = lambda _: {},
    distributions: Mapping[str, BaseDistribution] | None = None,
    attrs_of: Callable[[Request], Mapping[str, Any]] = lambda _: {},
    on_event: OnProgress = lambda _: None,
) -> dict[str, Outcome]:
    """Train the requests in their order, each once, and return the outcome of each by its key.

    What the study holds already is not trained again, but failures that may have been bad luck. Each outcome becomes a
    trial of the study when it is there, with the value `score(accuracy, macs)`, the parameters that params_of gives
    (each with its distribution in `distributions`) and, beside the usual ones, the attributes that attrs_of gives.

    Raises what `discover` raises.
    """
    wanted = {request.key: request for request in requests}
    outcomes = {key: outcome for key, outcome in _answers(study).items() if key in wanted}
    open_requests = unanswered(requests, study)

    def progress(number: int, **news: Any) -> None:
        on_event(Progress(number, open_requests[number], len(outcomes), len(wanted), **news))

    def jobs() -> Iterator[tuple[int, Request]]:
        for number, request in enumerate(open_requests):
            progress(number)
            yield number, request

    def handle(event: Event) -> tuple[int, ...]:
        if not isinstance(event, Finished):
            progress(event.ticket, epoch=event.epoch, accuracy=event.accuracy)
            return ()
        request = open_requests[event.ticket]
        macs, params = cost(request.arch)
        value = event.outcome.value
        trial = create_trial(
            state=TrialState.FAIL if value is None else TrialState.COMPLETE,
            value=None if value is None else score(value, macs),
            params=dict(params_of(request)),
            distributions=dict(distributions or {}),
            user_attrs={**request_attrs(request, macs, params), **attrs_of(request), **outcome_attrs(event.outcome)},
            intermediate_values=dict(enumerate(event.outcome.curve, 1)),
        )
        trial.datetime_start = datetime.now() - timedelta(seconds=event.outcome.seconds)
        study.add_trial(trial)
        outcomes[request.key] = event.outcome
        progress(event.ticket, finished=True, outcome=event.outcome)
        return ()

    drive(jobs(), executor, handle)
    return {key: outcomes[key] for key in wanted}
