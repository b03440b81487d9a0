"""What happens to trials, as scalars that TensorBoard shows. Off unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from experiments.errors import UserError
from nas.figures import Figure
from nas.search import TrialEvent

NEEDS = "--tensorboard needs the package tensorboard: pip install '.[tensorboard]' in the project's folder"


class Writer(Protocol):
    """What is used of torch.utils.tensorboard.SummaryWriter."""

    def add_scalar(self, tag: str, value: float, step: int, /) -> object: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def open_writer(folder: Path) -> Writer:
    """A writer of event files in `folder`. Raises UserError where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  optional
    except ImportError:
        raise UserError(NEEDS) from None
    writer: Writer = SummaryWriter(str(folder))  # type: ignore[no-untyped-call,unused-ignore]
    return writer


def write_epoch(writer: Writer, accuracy: float, epoch: int) -> None:
    """The accuracy in 0..1 after an epoch of a full training."""
    writer.add_scalar("train/accuracy", accuracy, epoch)
    writer.flush()


def write_trial(writer: Writer, step: str, event: TrialEvent, figures: Sequence[Figure]) -> None:
    """The scalars of a trial that has finished, by its number: its value in 0..1, its network's figures and
    seconds, each under the name of its step. Nothing for a trial without a value."""
    outcome = event.outcome
    if not event.finished or event.request is None or outcome is None or outcome.value is None:
        return
    counted = {figure.name: figure.of(event.request.arch) for figure in figures}
    for name, value in {outcome.metric: outcome.value, **counted, "seconds": outcome.seconds}.items():
        writer.add_scalar(f"{step}/{name}", value, event.number)
    writer.flush()
