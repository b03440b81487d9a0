"""The search: ask a sampler, train on an executor, store, tell; and the same for a fixed list of trainings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.evaluation import Outcome, Request
from nas.figures import Figure
from nas.pool.drive import TooManyFailuresError, drive
from nas.pool.executor import Event, Executor, Finished
from nas.study.attributes import COST, DUPLICATE_OF, UNTRAINED_BECAUSE, measured, request_attrs
from nas.study.drivers import Alone
from nas.study.ending import trained
from nas.study.known import known_of
from nas.study.ledger import Ledger, OnEvent, TrialEvent
from nas.study.plan import Bound, SearchPlan, Space
from nas.study.shared import SharedStudy
from nas.study.trials import SearchTrials
from search_spaces import ArchSpec

__all__ = [
    "Bound", "Candidate", "NoCandidateError", "SearchPlan", "Space", "TooManyFailuresError", "TrialEvent", "candidates",
    "discover", "evaluate_all", "unanswered",
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
        if measured(trial.user_attrs) is not None and DUPLICATE_OF not in trial.user_attrs:
            by_arch[trial.user_attrs["arch_id"]].append(trial)
    found = [_candidate(trials, score) for trials in by_arch.values()]
    return sorted(found, key=lambda c: (-c.score, c.macs, c.number))


def _candidate(trials: list[FrozenTrial], score: Callable[[float, float], float]) -> Candidate:
    first = trials[0].user_attrs
    accuracy = sum(measured(trial.user_attrs) or 0.0 for trial in trials) / len(trials)
    macs, params = first["macs"], first["params"]
    arch = ArchSpec.from_dict(first["arch"])
    return Candidate(
        arch, accuracy, macs, params, score(accuracy, first.get(COST, macs)), len(trials), trials[0].number
    )


class NoCandidateError(RuntimeError):
    """No trial of a search came to a value; the message is one line that says what became of them."""


def discover(
    plan: SearchPlan,
    sampler: BaseSampler,
    executor: Executor,
    study: Study | SharedStudy,
    *,
    on_event: OnEvent = lambda _: None,
) -> list[Candidate]:
    """Search until the study holds the plan's trials, those there already included, and return its candidates.

    Trials that an earlier run left unfinished go on first, under their own numbers. A request that is answered in the
    journal is not trained again: the trial takes that outcome, and `duplicate_of` names the other. Networks over a
    bound, and parameters that decode to none, are told to the sampler without training. Where the study is shared,
    other drivers do the same meanwhile, and the search ends when all trials have. A trial that the pruner stops is one
    like others, told to the sampler as pruned, but no candidate.

    Raises ValueError, before anything is trained, for a study whose values were got by another method than the plan's;
    KeyboardInterrupt when interrupted, TooManyFailuresError, NoCandidateError and what the executor raises, all with
    what is finished stored.
    """
    drivers, opened = (study, study.study) if isinstance(study, SharedStudy) else (Alone(), study)
    _expect_method(opened, plan.method)
    opened.sampler = sampler
    search = SearchTrials(plan, Ledger(opened, plan.trials, on_event), drivers)
    drive(search.jobs(), executor, search.handle, None if plan.pruner is None else search.judge)
    found = candidates(opened, plan.score)
    if not found:
        raise NoCandidateError(f"no trial came to a value: {_fates(opened)}")
    return found


def _fates(study: Study) -> str:
    """What became of trials without a value, the most frequent first, each with how many there are."""
    reasons = Counter(
        trial.user_attrs.get("failure_message") or trial.user_attrs.get(UNTRAINED_BECAUSE, trial.state.name.lower())
        for trial in study.get_trials(deepcopy=False)
    )
    told = [f"{count} x {reason}" for reason, count in reasons.most_common(2)]
    return "; ".join(told) + (" ..." if len(reasons) > len(told) else "")


def _expect_method(study: Study, method: str) -> None:
    """Values of different methods are of different things: no mean, no score and no sampler may mix them."""
    for trial in study.get_trials(deepcopy=False):
        attrs = trial.user_attrs
        if "request_key" in attrs and attrs.get("method", "") != method:
            held = attrs.get("method", "") or "accuracy of a training from scratch"
            raise ValueError(
                f"the study {study.study_name!r} holds values of another method ({held}) than the plan asks for "
                f"({method or 'accuracy of a training from scratch'}): give a study of its own to each"
            )


def unanswered(requests: Sequence[Request], study: Study) -> list[Request]:
    """Those of the requests, each once, that `evaluate_all` would train."""
    known = known_of(study)
    wanted = {request.key: request for request in requests}
    return [request for key, request in wanted.items() if key not in known.answers]


def evaluate_all(
    requests: Sequence[Request],
    executor: Executor,
    study: Study,
    *,
    figures: tuple[Figure, ...],
    score: Callable[[float, float], float] = lambda value, _: value,
    labels: Callable[[Request], Mapping[str, Any]] = lambda _: {},
    axes: Mapping[str, BaseDistribution] | None = None,
    on_event: OnEvent = lambda _: None,
) -> dict[str, Outcome]:
    """Train the requests in their order, each once, and return the outcome of each by its key.

    What the study holds already is not trained again, but failures that may have been bad luck. Each outcome becomes a
    trial of the study when it is there, with the value `score(value, first figure)` and with `figures` (see SearchPlan)
    among its attributes. labels: what to note about a request beside that; those named in `axes`, with their
    distributions, become parameters of its trial, the others attributes.

    Raises what `discover` raises.
    """
    known, axes = known_of(study), axes or {}
    wanted = {request.key: request for request in requests}
    outcomes = {key: known.answers[key][1] for key in wanted if key in known.answers}
    left = [request for key, request in wanted.items() if key not in outcomes]
    ledger = Ledger(study, len(wanted), on_event, known, len(outcomes))

    def jobs() -> Iterator[tuple[int, Request]]:
        for number, request in enumerate(left):
            ledger.tell_running(number, request)
            yield number, request

    def handle(event: Event) -> tuple[int, ...]:
        request = left[event.ticket]
        if not isinstance(event, Finished):
            ledger.tell_running(event.ticket, request, event)
            return ()
        counted = {figure.name: figure.of(request.arch) for figure in figures}
        told = labels(request)
        attrs = request_attrs(request, counted) | {name: told[name] for name in told if name not in axes}
        ending = trained(event.outcome, lambda value: score(value, counted[figures[0].name]))
        outcomes[request.key] = event.outcome
        ledger.add(event.ticket, request, ending, attrs=attrs, params={name: told[name] for name in axes}, axes=axes)
        return ()

    drive(jobs(), executor, handle)
    return {key: outcomes[key] for key in wanted}
