"""Which networks a step is about: the one to grow, and known ones fitted to the run."""

from __future__ import annotations

from dataclasses import replace

from experiments.errors import UserError, from_user
from experiments.records import BaselineRecord
from experiments.run.context import RunContext
from experiments.run.naming import is_reference, load_arch, resolve_target
from search_spaces import ArchSpec, fit_arch


def baseline_arch(run: RunContext) -> ArchSpec:
    """What is to grow: `--arch`, else this run's baseline, else B0 fitted to the target.

    A known network's name is fitted to the data and the target; a file or another run is taken as it is.
    """
    given = run.settings.general.arch
    if not given and (found := run.folder.find(BaselineRecord)) is not None:
        return found.arch
    if len(given) > 1:
        raise UserError("give one --arch to scale")
    text = given[0] if given else "efficientnet_b0"
    return fitted_arch(run, text, None)


def fitted_arch(run: RunContext, text: str, target_macs: float | None) -> ArchSpec:
    """A known network fitted to the run's resolution, channels and target (None: the run's), or any other as it is."""
    arch = load_arch(text)
    if not is_reference(text):
        return arch
    target = target_macs or resolve_target(run.settings.figures.target_macs, run.resolution, run.num_classes)
    arch = replace(arch, input_channels=run.problem.channels)
    with from_user(text):
        return fit_arch(arch, run.resolution, target, num_classes=run.num_classes)
