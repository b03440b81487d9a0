"""The one loop of trainings: epochs from the newest checkpoint to the end, each measured, told and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nas.data.feed import Feed
from nas.training.checkpoint import Checkpoints, TrainingState
from nas.training.loop import Training, images_watched
from nas.training.objective import Objective

OnEpoch = Callable[[TrainingState], bool]
"""on_epoch(state) -> go on? Told of the state that a checkpoint held, where there was one, and after each epoch."""


@dataclass(frozen=True)
class Validation:
    """The images that a training is measured on: `watched` after each epoch but the last, which gets all of `whole`."""

    whole: Feed
    watched: Feed

    @classmethod
    def of_proxy(cls, val: Feed, train_images: int) -> Validation:
        """A sample of `val` while it lasts (see images_watched)."""
        return cls(val, val.sample(images_watched(train_images, len(val))))

    def after(self, epoch: int, epochs: int) -> Feed:
        """The images to measure on after `epoch` of `epochs`."""
        return self.whole if epoch == epochs else self.watched


def fit(
    training: Training,
    objective: Objective,
    validation: Validation,
    checkpoints: Checkpoints | None,
    on_epoch: OnEpoch,
) -> TrainingState:
    """Train from the newest checkpoint, if any, to the end or until `on_epoch` says stop; the state reached.

    The network has its initial weights already, which what a checkpoint holds takes the place of. Random numbers are
    torch's global ones (see `repeatable`). Raises DivergedError, CheckpointError, and what torch does without memory.
    """
    objective.place(training.train.device)
    go_on = True
    state = None if checkpoints is None else checkpoints.restore(training)
    if state is None:
        state = TrainingState(threads=torch.get_num_threads())
    else:
        go_on = on_epoch(state)
    for epoch in range(len(state.curve) + 1, training.epochs + 1):
        if not go_on:
            break
        begin = time.perf_counter()
        training.run_epoch(epoch, objective)
        images = validation.after(epoch, training.epochs)
        value = training.measure(images, objective.metric)
        state = state.after(value, time.perf_counter() - begin)
        go_on = on_epoch(state)
        if checkpoints is not None:
            checkpoints.keep(training, state)
    return state
