"""The first step: search a space, confirm the best few at fresh seeds, write the baseline."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from optuna.samplers import BaseSampler
from optuna.study import Study

from experiments.errors import RunFailedError, UserError, from_user
from experiments.run.context import Bench
from experiments.run.folder import write_json, write_text
from experiments.run.naming import resolve_space, resolve_target
from experiments.run.outlook import outlook_discover
from experiments.run.pricing import Pricing, macs_of, resolve_pricing, target_cost
from experiments.tables.run_tables import trials_csv
from nas.evaluation import Request
from nas.samplers import make_sampler
from nas.samplers.costs import Macs
from nas.samplers.recommend import recommend
from nas.score import Score
from nas.search import Candidate, discover
from nas.study.passwords import hide_password
from nas.study.pruning import make_pruner
from nas.study.shared import SharedStudy, open_shared_study
from nas.study.store import copy_study, open_study, read_study
from search_spaces import ArchSpec, SearchSpace, StagedSpace, format_blocks, stride_plan
from search_spaces.mnasnet import size_in_words

NAME = "discover"


@dataclass(frozen=True)
class Search:
    """What a discovery is about: the objective, the space, the MACs it was fitted to, and those that are wanted."""

    score: Score
    space: SearchSpace
    fitted_to: int
    target_macs: int
    max_macs: int | None


def plan_search(bench: Bench) -> Search:
    """Resolve target and space. A folder's space keeps the target it was first fitted to, so that another target only
    rescores. Raises UserError for what the user can mend.
    """
    settings = bench.settings
    if settings.max_cost is not None and not 0 < settings.max_cost < math.inf:
        raise UserError(f"--max-cost must be a number above 0, not {settings.max_cost:g}")
    target = resolve_target(settings.target_macs, bench.resolution, bench.num_classes)
    with from_user():
        score = settings.score_at(target)
    # Trials of one study must mean the same networks, so the space keeps the target that it was fitted to at first.
    begun = bench.folder.journal(NAME).exists()
    before = bench.folder.read().get("space", {}) if begun else {}
    fitted_to = before.get("fitted_to", target)
    space = bench.problem.space or resolve_space(
        settings.space, fitted_to, bench.resolution, bench.num_classes, input_channels=bench.problem.channels
    )
    limit = settings.max_macs
    max_macs = None if limit is None else resolve_target(limit, bench.resolution, bench.num_classes, "--max-macs")
    return Search(score, space, fitted_to, target, max_macs)


def forecast_discover(bench: Bench) -> dict[str, Any]:
    """Say, and return, what the search would cost; nothing is trained but a few steps to time them."""
    plan = plan_search(bench)
    return outlook_discover(bench, plan.space, plan.target_macs, plan.max_macs).record


def run_discover(bench: Bench) -> dict[str, Any]:
    """Search until the run has the trials asked for; writes trials.csv and baseline.json and returns the latter."""
    settings = bench.settings
    plan = plan_search(bench)
    pricing = resolve_pricing(bench, plan.space)
    if pricing.name != "macs":
        with from_user("--target-cost"):
            plan = replace(plan, score=settings.score_at(target_cost(bench, pricing, plan.space)))
    sampler = _sampler(bench, plan, pricing)
    with from_user():
        pruner = make_pruner(settings.pruner, settings.epochs)
    bench.claim(
        NAME,
        {"space": plan.space.name, "epochs": settings.epochs, "train fraction": settings.train_fraction,
         "cost": pricing.how},
        {"space": {"name": plan.space.name, "fitted_to": plan.fitted_to, "size": plan.space.size, **_base(plan.space)},
         "score": dataclasses.asdict(plan.score),
         "cost": {"name": pricing.name, "words": pricing.words, "unit": pricing.unit, "how": pricing.how}},
    )  # fmt: skip
    _announce(bench, plan, pricing)
    outlook = outlook_discover(bench, plan.space, plan.target_macs, plan.max_macs)
    pace = outlook.pace
    study_opened = _open_study(bench, plan, pricing, sampler)
    with study_opened as (opened, shared), bench.narrator.task("search", settings.trials) as task:
        found = discover(
            plan.space,
            plan.score,
            sampler,
            bench.executor,
            opened,
            trials=settings.trials,
            fidelity=bench.proxy,
            seed=settings.seed,
            cost=bench.cost,
            max_macs=plan.max_macs,
            on_event=lambda event: bench.note(task, event, pace),
            shared=shared,
            priced=None if pricing.name == "macs" else pricing.of_arch,
            max_cost=settings.max_cost,
            pruner=pruner,
        )
        if shared is not None:  # the folder's own copy, for the steps to come
            copy_study(opened, bench.folder.journal(NAME), NAME, plan.score)
    study = read_study(bench.folder.journal(NAME), NAME)
    write_text(bench.folder.path / "trials.csv", trials_csv(study))
    bench.report.write()
    if not found:
        raise RunFailedError(f"no trial of {bench.folder.path} succeeded; trials.csv tells why")
    found = [candidate for candidate in found if _keeps_bounds(candidate, plan, pricing, settings.max_cost)]
    if not found:
        raise RunFailedError(
            "no network that was trained keeps the bounds: raise --max-macs or --max-cost, or --trials"
        )
    best = _recommended(study, found, pricing.of_params, plan.score, settings.confirm) if bench.problem.noisy else found
    baseline = _confirm(bench, plan.score, pricing, best)
    write_json(bench.folder.baseline, baseline)
    bench.report.write()
    bench.narrator.say(
        f"baseline: {baseline['macs'] / 1e6:.3g} M MACs, {baseline['params'] / 1e6:.3g} M params, val accuracy "
        f"{100 * baseline['accuracy']:.2f} % over {baseline['n']} seed(s), score {baseline['score']:.4f}"
    )
    return baseline


@contextlib.contextmanager
def _open_study(
    bench: Bench, plan: Search, pricing: Pricing, sampler: BaseSampler
) -> Iterator[tuple[Study, SharedStudy | None]]:
    """The search's study: in the run folder, or the shared one of all who ask the same of the same data."""
    url = bench.settings.storage
    if url is None:
        yield open_study(bench.folder.journal(NAME), NAME, ("maximize",), sampler, plan.score), None
        return
    driver = f"{platform.node()}:{bench.folder.path.resolve()}"
    with contextlib.ExitStack() as stack:
        with from_user():
            shared = stack.enter_context(open_shared_study(url, _shared_name(bench, plan, pricing), driver, sampler))
        bench.narrator.say(f"shared study: {shared.study.study_name!r} in {hide_password(url)}")
        yield shared.study, shared


def _shared_name(bench: Bench, plan: Search, pricing: Pricing) -> str:
    """The shared study's name, which drivers have in common where docs/pool.md says so."""
    settings = bench.settings
    asked = [
        dict(bench.identity), plan.space.name, plan.fitted_to, plan.max_macs, dataclasses.asdict(plan.score),
        pricing.how, settings.max_cost, settings.epochs, settings.train_fraction, settings.sampler,
    ]  # fmt: skip
    return f"{NAME} {hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]}"


def _sampler(bench: Bench, plan: Search, pricing: Pricing) -> BaseSampler:
    bounds = [
        (limit, cost)
        for limit, cost in (
            (plan.max_macs, macs_of(plan.space, bench.num_classes)),
            (bench.settings.max_cost, pricing.of_params),
        )
        if limit is not None
    ]
    with from_user():
        return make_sampler(
            bench.settings.sampler,
            seed=bench.settings.seed,
            macs=pricing.of_params,
            score=plan.score,
            feasible=(lambda params: all(cost(params) <= limit for limit, cost in bounds)) if bounds else None,
        )


def _keeps_bounds(candidate: Candidate, plan: Search, pricing: Pricing, max_cost: float | None) -> bool:
    """Whether a network is within the bounds of now; it may have been trained under others."""
    within = plan.max_macs is None or candidate.macs <= plan.max_macs
    return within and (max_cost is None or pricing.of_arch(candidate.arch) <= max_cost)


def _recommended(study: Study, found: list[Candidate], cost: Macs, score: Score, top: int) -> list[Candidate]:
    """The best few by the model of all trials, which is not taken in by a lucky training as their own values are."""
    by_arch = {candidate.arch.id: candidate for candidate in found}
    arch_of = {trial.number: trial.user_attrs.get("arch_id") for trial in study.get_trials(deepcopy=False)}
    named = [arch_of[each.trials[0]] for each in recommend(study, macs=cost, score=score, top=max(1, top))]
    return [by_arch[arch_id] for arch_id in dict.fromkeys(named) if arch_id in by_arch] or found[: max(1, top)]


def _confirm(bench: Bench, score: Score, pricing: Pricing, best: list[Candidate]) -> dict[str, Any]:
    """Train the best few at fresh seeds: the values that they were picked for flatter them."""
    settings = bench.settings
    if settings.confirm == 0 or not bench.problem.noisy:
        return _baseline(bench, score, pricing, best[0].arch, [best[0].accuracy])
    seeds = [settings.seed + 1 + i for i in range(settings.confirm_seeds)]
    requests = [Request(candidate.arch, bench.proxy, seed) for seed in seeds for candidate in best]
    numbers = {candidate.arch.id: candidate.number for candidate in best}
    outcomes = bench.train("confirm", requests, lambda request: {"trial": numbers[request.arch.id]}, "confirm")
    confirmed = []
    for candidate in best:
        found = [outcomes[request.key].accuracy for request in requests if request.arch.id == candidate.arch.id]
        accuracies = [accuracy for accuracy in found if accuracy is not None]
        if accuracies:
            confirmed.append(_baseline(bench, score, pricing, candidate.arch, accuracies))
    if not confirmed:
        raise RunFailedError("none of the best candidates could be trained again; confirm.journal tells why")
    return max(confirmed, key=lambda baseline: float(baseline["score"]))


def _baseline(bench: Bench, score: Score, pricing: Pricing, arch: ArchSpec, accuracies: list[float]) -> dict[str, Any]:
    macs, params = bench.cost(arch)
    accuracy, cost = statistics.fmean(accuracies), pricing.exact(arch)
    return {
        "id": arch.id,
        "accuracy": accuracy,
        "accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "n": len(accuracies),
        "split": "val",
        "fidelity": dataclasses.asdict(bench.proxy),
        "macs": macs,
        "params": params,
        "score": score(accuracy, cost),
        "cost": cost,
        "cost_of": pricing.how,
        "target_macs": score.target_macs,
        "num_classes": bench.num_classes,
        "blocks": format_blocks(arch),
        "arch": dataclasses.asdict(arch),
    }


def _base(space: SearchSpace) -> dict[str, Any]:
    if not isinstance(space, StagedSpace):
        return {}
    return {"base_blocks": format_blocks(space.base), "strides": stride_plan(space.base)}


def _announce(bench: Bench, plan: Search, pricing: Pricing) -> None:
    say = bench.narrator.say
    say(f"data: {bench.problem.name}, {bench.problem.summary}")
    if isinstance(plan.space, StagedSpace):
        widths = " ".join(str(stage.channels) for stage in plan.space.base.stages)
        say(f"space: {plan.space.name}, {size_in_words(plan.space)}, base widths {widths}")
        say(f"plan: {stride_plan(plan.space.base)}")
    else:
        say(f"space: {plan.space.name}, {plan.space.size:.2g} encodings")
    if plan.fitted_to != plan.target_macs:
        first = f"{plan.fitted_to / 1e6:.3g} M MACs"
        say(f"note: the space stays fitted to {first}, as at first; another --run fits it anew")
    wanted = plan.score.target_macs
    target = f"{wanted / 1e6:.3g} M MACs" if pricing.name == "macs" else f"{wanted:.4g} {pricing.unit} ({pricing.how})"
    say(f"target: {target}; trials: {bench.settings.trials} x {bench.settings.epochs} epochs")
