"""Which networks a step is about: the one to grow with the points of its grid, and known ones fitted to the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from experiments.errors import UserError, from_user
from experiments.records import BaselineRecord, CoefficientsRecord
from experiments.run.context import RunContext
from experiments.run.naming import is_reference, load_arch, resolve_target
from nas.study.store import read_study
from scaling_search import ScalingPoint, scaling_points
from search_spaces import ArchSpec, fit_arch
from search_spaces.plans import NetworkPlan, fitting_plans


def baseline_arch(run: RunContext) -> ArchSpec:
    """What is to grow: `--arch`, else this run's baseline, else the whole network of --inherit or B0 fitted to the
    target.

    A known network's name is fitted to the data and the target, with pixels left to grow into; a file or another run is
    taken as it is, but for `--resolution` where that is a number and the run has not grown it without. Raises UserError
    where it cannot begin with the weights of --inherit.
    """
    given, parent = run.settings.general.arch, run.problem.parent
    if not given and (found := run.folder.find(BaselineRecord)) is not None:
        return found.arch
    if len(given) > 1:
        raise UserError("give one --arch to scale")
    if parent is not None and not given:
        return replace(parent.arch, resolution=run.resolution)
    text = given[0] if given else "efficientnet_b0"
    arch = fitted_arch(run, text, target_of(run), (run.resolution,))
    if run.resolutions == (run.resolution,) != (arch.resolution,) and arch.id not in _adopted(run):
        run.narrator.say(f"{text}: {run.resolution} px in place of {arch.resolution}")
        arch = replace(arch, resolution=run.resolution)
    if parent is not None:
        with from_user(f"{text} is no part of {parent.name}"):
            parent.evaluator.network(arch, 1, torch.device("cpu"))
    return arch


def grid_points(run: RunContext, arch: ArchSpec) -> Sequence[ScalingPoint]:
    """The points of the coefficient search from the baseline `arch`, as the settings lay them out."""
    asked = run.settings.growth
    with from_user():
        return scaling_points(arch, run.points, step=asked.step, tolerance=asked.tolerance, num_classes=run.num_classes)


def target_of(run: RunContext) -> float:
    """The MACs that known networks are fitted to unless a step has others."""
    return resolve_target(run.settings.figures.target_macs, run.resolution, run.num_classes)


def network_plans(
    run: RunContext, text: str, target_macs: float, resolutions: Sequence[int]
) -> tuple[NetworkPlan, ...]:
    """The sound ways to fit a known network to the run's channels, `target_macs` and one of the `resolutions`, the most
    promising first; a file or another run is taken as it is, a plan without words."""
    if not is_reference(text):
        return (NetworkPlan(load_arch(text), ""),)
    with from_user(text):
        return fitting_plans(_of_the_data(run, text), resolutions, target_macs, num_classes=run.num_classes)


def fitted_arch(run: RunContext, text: str, target_macs: float, resolutions: Sequence[int]) -> ArchSpec:
    """A network by the most promising of its plans, which is said; nothing is trained to choose one.

    A run that an earlier version began with a known network goes on with that one: its widths alone were fitted.
    """
    before = _fitted_by_widths(run, text, target_macs)
    if before is not None and _is_begun(run, before):
        return before
    plan = network_plans(run, text, target_macs, resolutions)[0]
    if plan.words:
        run.narrator.say(f"{text}: {plan.words}")
    return plan.arch


def _of_the_data(run: RunContext, name: str) -> ArchSpec:
    return replace(load_arch(name), input_channels=run.problem.channels)


def _fitted_by_widths(run: RunContext, text: str, target_macs: float) -> ArchSpec | None:
    """A known network as earlier versions fitted it; None where there is none or nothing has been begun."""
    if is_reference(text) and run.folder.read().steps:
        with suppress(ValueError):
            return fit_arch(_of_the_data(run, text), run.resolution, target_macs, num_classes=run.num_classes)
    return None


def _is_begun(run: RunContext, arch: ArchSpec) -> bool:
    """Whether this run has trained `arch` in full or to rank it, has it as baseline, or has begun to grow it."""
    trained = {str(run.folder.read().identity.get("trained network", "")).partition(" ")[0]}
    if arch.id in _adopted(run) | trained | _journaled(run, "fidelity"):
        return True
    grown = _journaled(run, "scale")
    return bool(grown) and not grown.isdisjoint(point.arch_id for point in grid_points(run, arch))


def _adopted(run: RunContext) -> set[str]:
    """The ids of the networks that this run has as its baseline, or has grown."""
    baseline, growth = run.folder.find(BaselineRecord), run.folder.find(CoefficientsRecord)
    ids = (None if baseline is None else baseline.id, None if growth is None else growth.baseline)
    return {each for each in ids if each is not None}


def _journaled(run: RunContext, study: str) -> set[str]:
    """The ids of the networks that a study of this run has trained."""
    path = run.folder.journal(study)
    trials = read_study(path, study).get_trials(deepcopy=False) if path.exists() else []
    return {trial.user_attrs["arch_id"] for trial in trials if "arch_id" in trial.user_attrs}
