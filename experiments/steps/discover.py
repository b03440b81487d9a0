"""The first step: search a space, confirm the best few at fresh seeds, write the baseline."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import check_distribution_compatibility
from optuna.samplers import BaseSampler
from optuna.study import Study

from experiments.errors import RunFailedError, UserError, from_user
from experiments.options.groups import parse_bytes
from experiments.plans.outlook import outlook_discover
from experiments.plans.search import STUDY, Search, plan_search
from experiments.records import BaselineRecord, CostFacts, SpaceFacts
from experiments.run.context import RunContext, in_int8
from experiments.run.pricing import resolve_figure, target_cost
from experiments.tables.trials import trials_csv
from experiments.wording import metric_words, percent
from nas.evaluation import Fidelity
from nas.figures import Figure, InSpace, keeps
from nas.figures.memory import Flash, PeakRam
from nas.files import replace_text
from nas.samplers import make_sampler
from nas.samplers.base import Feasible, Params
from nas.samplers.recommend import recommend
from nas.samplers.seeding import trial_rng
from nas.samplers.start import StartWith
from nas.score import Score
from nas.search import Bound, Candidate, NoCandidateError, SearchPlan, discover
from nas.study.passwords import shown_address
from nas.study.pruning import make_pruner
from nas.study.shared import SharedStudy, open_shared_study
from nas.study.store import copy_study, open_study, read_study
from search_spaces import ArchSpec, SearchSpace, StagedSpace, format_blocks, stride_plan
from search_spaces.spaces.space import size_in_words

NAME = STUDY
_DRAWS = 500  # random members among which one is looked for that keeps the bounds
_SHARE_OF_STARTS = 4
"""One trial in four, and the first in any case, is one of the space's own starts, as far as it has any."""


def forecast_discover(run: RunContext) -> dict[str, Any]:
    """Say, and return, what the search would cost; nothing is trained but a few steps to time them."""
    search = plan_search(run)
    _refuse_bounds(search.space, _bounds(run, search, run.macs), run.settings.general.seed)
    return outlook_discover(run, search.space, search.target_macs, search.max_macs).record


def run_discover(run: RunContext) -> BaselineRecord:
    """Search until the run has the trials asked for; writes trials.csv and baseline.json and returns the latter."""
    search = plan_search(run)
    figure = resolve_figure(run, search.space)
    if figure.name != "macs":
        with from_user("--target-cost"):
            score = run.settings.search.score_at(target_cost(run, figure, search.space))
            search = replace(search, score=score)
    plan = _plan(run, search, figure)
    sampler = _sampler(run, plan, search.score, InSpace(figure, search.space))
    _check_space(run, search.space, plan.trials)
    run.claim(
        NAME,
        {"space": search.space.name, "epochs": plan.fidelity.epochs, "train fraction": plan.fidelity.train_fraction,
         "cost": figure.how},
        {"space": _space_facts(search), "score": search.score,
         "cost": CostFacts(figure.name, figure.words, figure.unit, figure.how)},
    )  # fmt: skip
    _announce(run, search, figure, plan.bounds)
    pace = outlook_discover(run, search.space, search.target_macs, search.max_macs).pace
    with (
        _open_study(run, search, figure, sampler, plan.bounds) as study,
        run.narrator.task("search", plan.trials) as task,
    ):
        found, fates = list[Candidate](), ""
        try:
            found = discover(plan, sampler, run.executor, study, on_event=lambda event: run.note(task, event, pace))
        except NoCandidateError as error:
            fates = str(error)
        if isinstance(study, SharedStudy):  # the folder's own copy, for the steps to come
            copy_study(study.study, run.folder.journal(NAME), NAME, search.score)
    baseline = _choose(run, search, figure, found, plan.bounds, fates=fates)
    run.folder.write(baseline)
    run.results_written()
    run.narrator.say(
        f"baseline: {baseline.macs / 1e6:.3g} M MACs, {baseline.params / 1e6:.3g} M params, "
        f"val {metric_words(run.problem.metric)} "
        f"{100 * (baseline.accuracy or 0):.2f} % over {baseline.n} seed(s), score {baseline.score or 0:.4f}"
        + ("" if figure.name == "macs" or baseline.cost is None else f", {figure.number(baseline.cost)} {figure.noun}")
        + ("" if baseline.int8 is None else f"; in int8 {100 * baseline.int8:.2f} %")
    )
    return baseline


def _check_space(run: RunContext, space: SearchSpace, trials: int) -> None:
    """Raise UserError where trials are to be added to those of another version of the space."""
    path = run.folder.journal(NAME)
    begun = read_study(path, NAME).get_trials(deepcopy=False) if path.exists() else []
    if len(begun) >= trials and all(trial.state.is_finished() for trial in begun):
        return
    mine = space.distributions()
    for name, before in ((name, value) for trial in begun for name, value in trial.distributions.items()):
        try:
            check_distribution_compatibility(before, mine[name])
        except (KeyError, ValueError):
            raise UserError(
                f"{path}: trial parameter {name!r} is not as in the space {space.name} now: an earlier version of it "
                "was searched; take another --run"
            ) from None


def _plan(run: RunContext, search: Search, figure: Figure) -> SearchPlan:
    settings = run.settings
    with from_user():
        pruner = make_pruner(settings.search.pruner, run.proxy.epochs)
    return SearchPlan(
        search.space,
        search.score,
        run.proxy,
        settings.search.trials,
        run.figures,
        seed=settings.general.seed,
        method=run.problem.method,
        charge=None if figure.name == "macs" else figure,
        bounds=_bounds(run, search, figure),
        pruner=pruner,
    )


def _bounds(run: RunContext, search: Search, figure: Figure) -> tuple[Bound, ...]:
    """Those asked for that networks of the space may break."""
    figures, precision = run.settings.figures, run.problem.precision
    ram, flash = (
        None if text is None else parse_bytes(name, text)
        for name, text in (("max_ram", figures.max_ram), ("max_flash", figures.max_flash))
    )
    asked = (
        (run.macs, search.max_macs),
        (figure, figures.max_cost),
        (Flash(run.num_classes, precision), flash),
        (PeakRam(run.num_classes, precision), ram),
    )
    kept = run.macs if search.space.equal_macs is not None else None
    return tuple(Bound(bounded, most) for bounded, most in asked if most is not None and bounded != kept)


def _choose(
    run: RunContext,
    search: Search,
    figure: Figure,
    found: list[Candidate],
    bounds: Sequence[Bound],
    *,
    fates: str,
) -> BaselineRecord:
    """The baseline, of all that were found; writes trials.csv. fates: what became of the trials where none was."""
    study = read_study(run.folder.journal(NAME), NAME)
    replace_text(run.folder.path / "trials.csv", trials_csv(study), durable=True)
    run.results_written()
    if not found:
        raise RunFailedError(f"{fates}; trials.csv tells more")
    # A network may have been trained under other bounds than those of now.
    found = [each for each in found if all(bound.figure.of(each.arch) <= bound.most for bound in bounds)]
    if not found:
        raise RunFailedError(
            "no network that was trained keeps the bounds: raise --max-macs, --max-cost, --max-ram or --max-flash, "
            "or --trials"
        )
    best = found
    if run.problem.noisy:
        cost = InSpace(figure, search.space)
        best = _recommended(study, found, cost, search.score)
    most = max(1, run.settings.search.confirm)
    if run.confirmation != run.proxy:  # else the folder is of an earlier version, which confirmed the best alone
        best = _with_a_start(best, study, search.space, most)
    return _confirm(run, search.score, figure, _within(best, bounds, most))


@contextlib.contextmanager
def _open_study(
    run: RunContext, search: Search, figure: Figure, sampler: BaseSampler, bounds: Sequence[Bound]
) -> Iterator[Study | SharedStudy]:
    """The search's study: in the run folder, or the shared one of all who ask the same of the same data."""
    url = run.settings.search.storage
    if url is None:
        yield open_study(run.folder.journal(NAME), NAME, ("maximize",), sampler, search.score)
        return
    driver, name = f"{platform.node()}:{run.folder.path.resolve()}", shared_name(run, search, figure, bounds)
    with contextlib.ExitStack() as stack:
        with from_user():
            shared = stack.enter_context(open_shared_study(url, name, driver, sampler))
        run.narrator.say(f"shared study: {shared.study.study_name!r} in {shown_address(url)}")
        yield shared


def shared_name(run: RunContext, search: Search, figure: Figure, bounds: Sequence[Bound]) -> str:
    """The shared study's name, which drivers have in common where docs/pool.md says so."""
    settings = run.settings
    asked = [
        dict(run.identity), search.space.name, search.fitted_to, search.max_macs, dataclasses.asdict(search.score),
        figure.how, settings.figures.max_cost, run.proxy.epochs, run.proxy.train_fraction, settings.search.sampler,
        *([bound.figure.how, bound.most] for bound in bounds if bound.figure not in (run.macs, figure)),
    ]  # fmt: skip
    return f"{NAME} {hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]}"


def _sampler(run: RunContext, plan: SearchPlan, score: Score, cost: InSpace) -> BaseSampler:
    known = {cost.figure: cost}
    bounded = [(known.get(bound.figure, InSpace(bound.figure, cost.space)), bound.most) for bound in plan.bounds]
    space, name, feasible = cost.space, run.settings.search.sampler, keeps(bounded)
    with from_user():
        sampler = make_sampler(
            name,
            seed=plan.seed,
            # Costs that are all alike teach a sampler nothing, and widths take long to be solved for thousands of rows.
            macs=None if cost.figure == run.macs and space.equal_macs is not None else cost,
            score=score,
            feasible=feasible,
            active=space.active,
            network=space.network_id,
        )
    starts = space.starts[: max(1, plan.trials // _SHARE_OF_STARTS)]
    if feasible is not None:
        starts = tuple(filter(feasible, starts))
    if feasible is not None and (name == "random" or not starts):
        starts = tuple(_drawn_within(space, feasible, plan.seed))
        if not starts:
            _refuse_bounds(space, plan.bounds, plan.seed)
    return StartWith(sampler, starts if name != "random" or feasible is not None else ())


def _refuse_bounds(space: SearchSpace, bounds: Sequence[Bound], seed: int) -> None:
    """Raise UserError where no network drawn keeps the bounds on memory: a search would train none, or hardly any."""
    bounds = [bound for bound in bounds if bound.figure.name in ("ram", "flash")]
    if not bounds:
        return
    rows = space.sample(trial_rng(seed, 0, "start"), _DRAWS)
    found = [bound.figure.of_rows(space, rows) for bound in bounds]
    for bound, values in zip(bounds, found, strict=True):
        least = np.nanmin(values)
        if least > bound.most:
            number, noun = bound.figure.number, bound.figure.noun
            raise UserError(
                f"--max-{bound.figure.name}: {number(bound.most)} {noun} are too few: of {_DRAWS} networks drawn "
                f"from the space the least takes {number(least)}; raise it, or lower --target-macs or --resolution"
            )
    kept = [values <= bound.most for bound, values in zip(bounds, found, strict=True)]
    if not np.logical_and.reduce(kept).any():
        raise UserError(
            f"--max-ram and --max-flash: of {_DRAWS} networks drawn from the space none keeps both; raise one, or "
            "lower --target-macs or --resolution"
        )


def _drawn_within(space: SearchSpace, feasible: Feasible, seed: int) -> Iterator[Params]:
    """A random member that keeps the bounds, if one is found. Before the first trial a sampler knows no parameter."""
    rows = map(space.params, space.sample(trial_rng(seed, 0, "start"), _DRAWS))
    yield from itertools.islice(filter(feasible, rows), 1)


def _within(best: Sequence[Candidate], bounds: Sequence[Bound], most: int) -> list[Candidate]:
    """The first of them that keep the bounds exactly, `most` at most: the search may only have predicted figures."""
    kept: list[Candidate] = []
    for candidate in best:
        with from_user():
            if all(bound.figure.exact(candidate.arch) <= bound.most for bound in bounds):
                kept.append(candidate)
        if len(kept) == most:
            break
    if not kept:
        raise RunFailedError(
            "no network that was trained keeps the bounds as measured, only as predicted: raise --max-cost, --trials "
            "or --latency-samples"
        )
    return kept


def _with_a_start(best: list[Candidate], study: Study, space: SearchSpace, most: int) -> list[Candidate]:
    """All in their order, but where none of the first `most`, if these are several, is a start of the space, the best
    of the starts takes the last of those places: what is found is then no worse than that in equal trainings.
    """
    starts = {
        trial.number
        for trial in study.get_trials(deepcopy=False)
        if any(all(trial.params.get(name, value) == value for name, value in start.items()) for start in space.starts)
    }
    place = next((i for i, candidate in enumerate(best) if candidate.number in starts), 0)
    if most < 2 or place < most:
        return best
    return [*best[: most - 1], best[place], *best[most - 1 : place], *best[place + 1 :]]


def _recommended(study: Study, found: list[Candidate], cost: InSpace, score: Score) -> list[Candidate]:
    """The best first, by the model of all trials, which is not taken in by a lucky training as their own values are."""
    by_arch = {candidate.arch.id: candidate for candidate in found}
    arch_of = {trial.number: trial.user_attrs.get("arch_id") for trial in study.get_trials(deepcopy=False)}
    best = recommend(study, macs=cost, score=score, top=len(found), active=cost.space.active)
    named = [arch_of[each.trials[0]] for each in best]
    return [by_arch[arch_id] for arch_id in dict.fromkeys(named) if arch_id in by_arch] or found


def _confirm(run: RunContext, score: Score, figure: Figure, best: list[Candidate]) -> BaselineRecord:
    """Train the best few longer, at fresh seeds: the values that they were picked for flatter them."""
    settings, fidelity = run.settings, run.confirmation
    if settings.search.confirm == 0 or not run.problem.noisy:
        return _baseline(run, score, figure, best[0].arch, [best[0].accuracy], fidelity=run.proxy)
    seeds = [settings.general.seed + 1 + i for i in range(settings.search.confirm_seeds)]
    requests = [run.request(candidate.arch, fidelity, seed, looked_at=True) for seed in seeds for candidate in best]
    numbers = {candidate.arch.id: candidate.number for candidate in best}
    outcomes = run.train("confirm", requests, lambda request: {"trial": numbers[request.arch.id]}, "confirm")
    confirmed = []
    for candidate in best:
        found = [outcomes[request.key] for request in requests if request.arch.id == candidate.arch.id]
        accuracies = [outcome.value for outcome in found if outcome.value is not None]
        if accuracies:
            int8 = in_int8(found)
            baseline = _baseline(run, score, figure, candidate.arch, accuracies, fidelity=fidelity, int8=int8)
            confirmed.append(baseline)
            reached = percent(statistics.fmean(accuracies), _spread(accuracies))
            after = "" if baseline.int8 is None else f", {percent(baseline.int8, baseline.int8_std)} in int8"
            run.narrator.say(
                f"confirmed: trial {candidate.number}, {100 * candidate.accuracy:.1f} % in the search, "
                f"{reached} after {fidelity.epochs} epochs at {len(accuracies)} fresh seed(s){after}"
            )
    if not confirmed:
        raise RunFailedError("none of the best candidates could be trained again; confirm.journal tells why")
    return max(confirmed, key=lambda baseline: baseline.score or 0.0)


def _baseline(
    run: RunContext,
    score: Score,
    figure: Figure,
    arch: ArchSpec,
    accuracies: list[float],
    *,
    fidelity: Fidelity,
    int8: Sequence[float] = (),
) -> BaselineRecord:
    macs, params = run.macs.of(arch), run.params.of(arch)
    with from_user():
        accuracy, cost = statistics.fmean(accuracies), float(figure.exact(arch))
    return BaselineRecord(
        id=arch.id,
        accuracy=accuracy,
        accuracy_std=_spread(accuracies),
        n=len(accuracies),
        fidelity=fidelity,
        macs=macs,
        params=params,
        score=score(accuracy, cost),
        cost=cost,
        cost_of=figure.how,
        target_macs=score.target_macs,
        num_classes=run.num_classes,
        blocks=format_blocks(arch),
        int8=statistics.fmean(int8) if int8 else None,
        int8_std=_spread(int8),
        arch=arch,
    )


def _spread(accuracies: Sequence[float]) -> float | None:
    return statistics.stdev(accuracies) if len(accuracies) > 1 else None


def _space_facts(search: Search) -> SpaceFacts:
    space = search.space
    base = space.base if isinstance(space, StagedSpace) else None
    return SpaceFacts(
        space.name,
        search.fitted_to,
        space.size,
        base_blocks=None if base is None else format_blocks(base),
        strides=None if base is None else stride_plan(base),
    )


def _announce(run: RunContext, search: Search, figure: Figure, bounds: Sequence[Bound]) -> None:
    say = run.narrator.say
    space = search.space
    whole = [choice for choice in space.choices if "." not in choice.name]
    if whole or not isinstance(space, StagedSpace):
        say(f"space: {space.name}, {space.size:.2g} combinations of choices")
        if whole:
            choices = "; ".join(f"{choice.name} {', '.join(map(str, choice.values))}" for choice in whole)
            say(f"  for the whole network: {choices}")
    else:
        widths = " ".join(str(stage.channels) for stage in space.base.stages)
        say(f"space: {space.name}, {size_in_words(space)}, base widths {widths}")
        say(f"plan: {stride_plan(space.base)}")
    if search.fitted_to != search.target_macs:
        first = f"{search.fitted_to / 1e6:.3g} M MACs"
        say(f"note: the space stays fitted to {first}, as at first; another --run fits it anew")
    wanted = search.score.target_macs
    target = f"{wanted / 1e6:.3g} M MACs" if figure.name == "macs" else f"{wanted:.4g} {figure.unit} ({figure.how})"
    say(f"target: {target}; trials: {run.settings.search.trials} x {run.proxy.epochs} epochs")
    say(_price(search, figure))
    for bound in bounds:
        if bound.figure.name in ("ram", "flash"):
            say(f"bound: no network of more than {bound.figure.number(bound.most)} {bound.figure.noun} is trained")


def _price(search: Search, figure: Figure) -> str:
    """What the score makes of a network of twice the target's cost, and the bound on MACs, in words."""
    score = search.score
    if figure.name == "macs" and search.space.equal_macs is not None:
        return "score: accuracy decides nearly alone, for all networks of this space cost about the same"
    if score.form == "power":
        needed = score(1.0, score.target_macs) / score(1.0, 2 * score.target_macs)
        price = f"at twice the target a network scores the same with {needed:.2f} times the accuracy"
    else:
        price = f"at twice the target a network loses {100 * -score(0.0, 2 * score.target_macs):.0f} points"
    if search.max_macs is None or figure.name != "macs":
        return f"score: {price}"
    return f"score: {price}; above {search.max_macs / 1e6:.3g} M MACs none is trained (--max-macs)"
