"""The second step: search the scaling coefficients of a baseline and emit its family."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from experiments.bench import Bench
from experiments.errors import UserError, from_user
from experiments.naming import is_reference, load_arch, resolve_target
from experiments.run_folder import read_json, write_json, write_text
from experiments.tables import grid_csv
from nas.evaluation import Outcome, Request
from scaling_search import CoefficientSearch, FamilyMember, family, scaling_points, search_coefficients
from search_spaces import ArchSpec, fit_arch

NAME = "scale"
AXES: dict[str, BaseDistribution] = {
    "alpha": FloatDistribution(1, 2),
    "beta": FloatDistribution(1, 2),
    "gamma": FloatDistribution(1, 2),
    "seed": IntDistribution(0, 2**31),
}


def baseline_arch(bench: Bench) -> ArchSpec:
    """What is to grow: `--arch`, else this run's baseline, else B0 fitted to the target.

    A known network's name is fitted to the data and the target; a file or another run is taken as it is.
    """
    given = bench.settings.arch
    if not given and bench.folder.baseline.exists():
        return load_arch(str(bench.folder.path))
    if len(given) > 1:
        raise UserError("give one --arch to scale")
    text = given[0] if given else "efficientnet_b0"
    return fitted_arch(bench, text, None)


def fitted_arch(bench: Bench, text: str, target_macs: float | None) -> ArchSpec:
    """A known network fitted to the run's resolution, channels and target (None: the run's), or any other as it is."""
    arch = load_arch(text)
    if not is_reference(text):
        return arch
    target = target_macs or resolve_target(bench.settings.target_macs, bench.resolution, bench.num_classes)
    arch = dataclasses.replace(arch, input_channels=bench.problem.channels)
    with from_user(text):
        return fit_arch(arch, bench.resolution, target, num_classes=bench.num_classes)


def run_scale(bench: Bench) -> dict[str, Any]:
    """Train the points; writes grid.csv, coefficients.json and family.json and returns the coefficients."""
    settings = bench.settings
    arch = baseline_arch(bench)
    with from_user():
        points = scaling_points(
            arch, settings.points, step=settings.step, tolerance=settings.tolerance, num_classes=bench.num_classes
        )
    bench.claim(NAME, {"epochs": settings.epochs, "train fraction": settings.train_fraction})
    of_arch = {point.arch_id: point.coefficients for point in points}

    def labels(request: Request) -> dict[str, Any]:
        c = of_arch[request.arch.id]
        return {"alpha": c.depth, "beta": c.width, "gamma": c.resolution, "seed": request.seed}

    def evaluate(requests: Sequence[Request]) -> Mapping[str, Outcome]:
        return bench.train(NAME, requests, labels, "grid", AXES)

    seeds = tuple(settings.seed + i for i in range(settings.seeds))
    found = search_coefficients(
        arch, evaluate, fidelity=bench.proxy, points=points, seeds=seeds, budget=settings.budget,
        num_classes=bench.num_classes,
    )  # fmt: skip
    rule = settings.points
    members = family(arch, found.coefficients, rule=rule, num_classes=bench.num_classes)
    write_text(bench.folder.path / "grid.csv", grid_csv(found))
    write_json(bench.folder.family, [dataclasses.asdict(member) for member in members])
    record = _record(found, arch, settings.points)
    write_json(bench.folder.coefficients, record)
    _say(bench, found, members)
    return record


def _record(found: CoefficientSearch, arch: ArchSpec, layout: str) -> dict[str, Any]:
    best = found.coefficients
    return {
        "alpha": best.depth,
        "beta": best.width,
        "gamma": best.resolution,
        "points": layout,
        "baseline": arch.id,
        "best": {"accuracy": found.best.mean, "accuracy_std": found.best.spread, "n": found.best.n},
        "grid": [
            {
                "alpha": result.point.coefficients.depth,
                "beta": result.point.coefficients.width,
                "gamma": result.point.coefficients.resolution,
                "nominal_cost": result.point.nominal_cost,
                "realised_cost": result.point.cost,
                "shares": result.point.shares._asdict(),
                "resolution": result.point.arch.resolution,
                "macs": result.point.macs,
                "params": result.point.params,
                "arch_id": result.point.arch_id,
                "settings_merged": len(result.point.merged),
                "accuracy": result.mean,
                "accuracy_std": result.spread,
                "n": result.n,
                "failures": result.failures,
            }
            for result in found.results
        ],
    }


def _say(bench: Bench, found: CoefficientSearch, members: Sequence[FamilyMember]) -> None:
    best = found.coefficients
    costs = [result.point.cost for result in found.results]
    bench.narrator.say(
        f"coefficients: alpha {best.depth:.3f}, beta {best.width:.3f}, gamma {best.resolution:.3f} "
        f"(best of {len(found.results)} networks by mean over seeds, n = {found.best.n}; "
        f"they cost {min(costs):.2f} to {max(costs):.2f} x the baseline)"
    )
    native = bench.problem.native_size
    beyond = [f"{member.phi:g}" for member in members if member.arch.resolution > native]
    if beyond:
        bench.narrator.say(
            f"warning: at phi {', '.join(beyond)} the family asks for more than the {native} pixels the images have; "
            "enlarged images hold no more information"
        )


def family_archs(path: Path) -> list[tuple[float, ArchSpec]]:
    """phi and network of every member in a family.json."""
    return [(float(member["phi"]), ArchSpec.from_dict(member["arch"])) for member in read_json(path)]
