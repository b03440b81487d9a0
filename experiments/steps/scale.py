"""The second step: search the scaling coefficients of a baseline and emit its family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from experiments.errors import RunFailedError, UserError
from experiments.options.flags import with_flags
from experiments.options.groups import Budget, parse_budget
from experiments.pictures.run_folder import coefficient_pictures, curve_pictures
from experiments.plans.curves import Curves, curve_requests, plan_curves
from experiments.plans.forecasts import read_law
from experiments.plans.networks import baseline_arch, grid_points
from experiments.plans.outlook import outlook_scale
from experiments.records import CoefficientsRecord, FamilyRecord, Finding, GridPoint
from experiments.records.forecast import MISFIT
from experiments.run.context import RunContext
from experiments.run.forecast import Forecast
from experiments.tables.curves import CURVES, Measured, curves_csv, measured
from experiments.tables.grid import grid_csv
from experiments.wording import metric_words
from nas.evaluation import Fidelity, Outcome, Request
from nas.files import replace_text
from scaling_search import (
    CoefficientSearch,
    ScalingPoint,
    cautions,
    family,
    search_coefficients,
)
from scaling_search.cautions import too_coarse
from scaling_search.design import seeds_of
from scaling_search.drift import supported_drift
from scaling_search.family import untold
from scaling_search.search import NothingTrainedError, trainings_of
from scaling_search.size_drift import BEYOND, BestShares, size_drift
from search_spaces import ArchSpec

NAME = "scale"
AXES: dict[str, BaseDistribution] = {
    "alpha": FloatDistribution(1, 2),
    "beta": FloatDistribution(1, 2),
    "gamma": FloatDistribution(1, 2),
    "seed": IntDistribution(0, 2**32),  # the largest of --seed, and the further seeds that a budget may take
}


def forecast_scale(run: RunContext, arch: ArchSpec | None = None) -> dict[str, Any]:
    """Say, and return, what the coefficient search would cost; nothing is trained but a few steps to time them. arch:
    what is to grow, in place of what the settings say.
    """
    arch = arch or baseline_arch(run)
    return _outlook(run, arch, grid_points(run, arch), _lengths(run), _budget(run)).record


def run_scale(run: RunContext, arch: ArchSpec | None = None) -> CoefficientsRecord:
    """Train the points at every length; writes grid.csv, coefficients.json, family.json and the pictures, and returns
    the coefficients. arch: what is to grow, in place of what the settings say.
    """
    settings = run.settings
    arch = arch or baseline_arch(run)
    points, lengths, budget = grid_points(run, arch), _lengths(run), _budget(run)
    run.claim(NAME, {"train fraction": settings.training.train_fraction, "growth": run.growth_rule})
    before = run.folder.find(CoefficientsRecord)
    if before is not None and before.by_size and before.baseline == arch.id and settings.growth.rule != "adaptive":
        run.narrator.say("the family will no longer follow the best shares of each size; with --rule adaptive it does")
    _outlook(run, arch, points, lengths, budget)
    searches = {epochs: _search(run, arch, points, epochs, budget.part(len(lengths))) for epochs in lengths}
    replace_text(run.folder.path / "grid.csv", grid_csv(list(searches.values())), durable=True)
    analyses = {epochs: search.analysis for epochs, search in searches.items() if search.analysis is not None}
    moved = supported_drift(analyses, run.final.epochs)
    found = searches[max(searches)]
    told = cautions(found, native_size=run.problem.native_size, val_images=run.problem.val_images)
    warnings = [with_flags(caution) for caution in told]
    record = CoefficientsRecord(
        finding=Finding.of(found),
        points=run.points,
        baseline=arch.id,
        recipe=run.problem.recipe,
        epochs=found.fidelity.epochs,
        drift=None if moved is None else moved.sentence,
        cautions=tuple(warnings),
        lengths={str(epochs): Finding.of(search) for epochs, search in searches.items()},
        grid=tuple(
            GridPoint.of(result, search.fidelity.epochs) for search in searches.values() for result in search.results
        ),
    )
    _write_family(run, arch, record, lambda why: run.narrator.say(f"the family is without {why}"))
    trainings = {epochs: trainings_of(search.results) for epochs, search in searches.items()}
    shown = {"data": run.problem.name, "metric": metric_words(run.problem.metric)}
    coefficient_pictures(run.folder.path, trainings, analyses, moved, **shown)
    if settings.growth.plot_phi > 0:
        plan = plan_curves(
            run, arch, found.coefficients, found.fidelity,
            lambda why: run.narrator.say(f"not on the scaling plot: {why}"),
        )  # fmt: skip
        curves = _train_curves(run, plan)
        if curves:
            replace_text(run.folder.path / CURVES, curves_csv(curves), durable=True)
            curve_pictures(run.folder.path, curves, record.epochs, **shown)
        else:
            run.narrator.say("warning: no network of the scaling plot could be trained, so that there is none")
    if settings.growth.rule == "adaptive":
        record = _follow_size(run, arch, record)
    run.results_written()
    for line in _lines(found, record):
        run.narrator.say(line)
    return record


def _lengths(run: RunContext) -> list[int]:
    """The training lengths of the grid, in epochs, ascending."""
    epochs = run.proxy.epochs
    return sorted(set(run.settings.growth.lengths or (epochs, 2 * epochs)))


def _budget(run: RunContext) -> Budget:
    asked = run.settings.growth
    budget = Budget() if asked.budget is None else parse_budget(asked.budget)
    if asked.grid is not None:
        budget = Budget(trainings=asked.grid)
    if budget.trainings is not None and budget.part(len(_lengths(run))).trainings == 0:
        raise UserError(f"--budget {asked.budget} is less than one training at each of the lengths")
    return budget


def _outlook(
    run: RunContext, arch: ArchSpec, points: Sequence[ScalingPoint], lengths: Sequence[int], budget: Budget
) -> Forecast:
    settings = run.settings
    each = budget.part(len(lengths)).trainings
    seeds = settings.growth.seeds if each is None else seeds_of(each, len(points))
    requests = [
        run.request(point.arch, Fidelity(epochs, settings.training.train_fraction), settings.general.seed + i)
        for epochs in lengths
        for i in range(seeds)
        for point in points
    ]
    plot = curve_requests(run, arch, requests[-1].fidelity)
    forecast = outlook_scale(run, requests, plot, run.macs.of(arch), each)
    if budget.hours is not None:
        run.narrator.say(f"  but --budget gives the points {budget.hours:g} h: as many trainings as fit into it")
    if (few := too_coarse(len(points))) is not None:
        run.narrator.say(f"  warning: {few}")
    return forecast


def _search(
    run: RunContext, arch: ArchSpec, points: Sequence[ScalingPoint], epochs: int, budget: Budget
) -> CoefficientSearch:
    """The search at one training length, within its part of the budget."""
    settings = run.settings
    of_arch = {point.arch_id: point.coefficients for point in points}

    def labels(request: Request) -> dict[str, Any]:
        c = of_arch[request.arch.id]
        return {"alpha": c.depth, "beta": c.width, "gamma": c.resolution, "seed": request.seed}

    def evaluate(requests: Sequence[Request]) -> Mapping[str, Outcome]:
        return run.train(NAME, requests, labels, f"grid, {epochs} epochs", AXES)

    try:
        return search_coefficients(
            arch,
            evaluate,
            fidelity=Fidelity(epochs, settings.training.train_fraction),
            points=points,
            seeds=tuple(settings.general.seed + i for i in range(settings.growth.seeds)),
            budget=budget.trainings,
            seconds=None if budget.hours is None else 3600 * budget.hours * len(run.pool.slots),
            precision=settings.growth.precision,
            num_classes=run.num_classes,
            method=run.problem.method,
        )
    except NothingTrainedError as error:
        raise RunFailedError(f"{error}; {run.folder.journal(NAME)} tells why") from None


def _train_curves(run: RunContext, curves: Curves) -> dict[str, list[Measured]]:
    """Accuracy on val of the networks of the scaling plot: {way: networks}. The grid's trainings are not repeated;
    networks that could not be trained are missing."""
    phis = {member.arch.id: member.phi for members in curves.lines.values() for member in members}

    def labels(request: Request) -> Mapping[str, Any]:
        return {"phi": phis[request.arch.id]}

    outcomes = run.train(NAME, curves.trainings, labels, f"scaling plot, {curves.fidelity.epochs} epochs")
    lines = {
        way: [
            measured(member.macs, accuracies)
            for member in members
            if (accuracies := curves.accuracies(member, outcomes))
        ]
        for way, members in curves.lines.items()
    }
    return {way: points for way, points in lines.items() if points}


def _write_family(
    run: RunContext, arch: ArchSpec, record: CoefficientsRecord, tell: Callable[[str], None] = untold
) -> None:
    """The coefficients, and the family that grows by them. tell: is given a line for each member that is left out."""
    members = family(arch, record.at, rule=run.points, num_classes=run.num_classes, tell=tell)
    run.folder.write(FamilyRecord(members))
    run.folder.write(record)


def _follow_size(run: RunContext, arch: ArchSpec, record: CoefficientsRecord) -> CoefficientsRecord:
    """The family by the best shares of each size, as the model of accuracy tells them from the grid and the plot."""
    try:
        followed = replace(record, by_size=_best_by_size(run, record))
    except (UserError, ValueError, ArithmeticError) as error:
        run.narrator.say(f"warning: the family grows by constant coefficients: {error}")
        return record
    _write_family(run, arch, followed)
    return followed


def _best_by_size(run: RunContext, record: CoefficientsRecord) -> tuple[BestShares, ...]:
    """Raises UserError, with the reason, where the trainings do not tell."""
    law = read_law(run.folder, "val")
    moved = size_drift(law, law.longest, record.finding.coefficients.shares)
    if moved is None:
        raise UserError(f"no network of {2**BEYOND:.1f} times the baseline's cost or more was trained (--plot-phi 2)")
    if law.lack_of_fit < MISFIT:
        raise UserError(f"the model of accuracy does not fit the trainings (p = {law.lack_of_fit:.3f})")
    return moved.best


def _lines(found: CoefficientSearch, record: CoefficientsRecord) -> list[str]:
    """The result for people."""
    best, trained = found.coefficients, sum(result.n > 0 for result in found.results)
    return [
        f"coefficients: alpha {best.depth:.3f}, beta {best.width:.3f}, gamma {best.resolution:.3f} "
        f"({trained} of {len(found.results)} networks trained, epochs: {found.fidelity.epochs}, "
        f"recipe {record.recipe})",
        *(f"  {line}" for line in record.finding.verdict),
        *(f"  {line}" for line in record.rule_line),
        *([f"  {record.drift}"] if record.drift else []),
        *(f"warning: {line}" for line in record.cautions),
    ]
