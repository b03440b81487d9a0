"""Who drives a study: one driver alone, or several that share it (`nas.study.shared`)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from optuna.trial import FrozenTrial, Trial


class Drivers(Protocol):
    """All drivers of a study, as one of them sees them."""

    @property
    def alone(self) -> bool:
        """Whether there can be no others."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Hold the study: no other driver is in its turn meanwhile. Ends with the process, however that ends."""
        ...

    def claim(self, trial: Trial) -> None:
        """Note that this driver runs the trial."""
        ...

    def lost(self, numbers: Collection[int]) -> Collection[int]:
        """Those of this driver's trials that another one took over."""
        ...

    def may_take(self, trial: FrozenTrial) -> bool:
        """Whether this driver is to go on with a running trial that it does not run: its own, left by a kill, or one
        of a driver that is dead."""
        ...

    def is_asked_elsewhere(self, number: int, key: str) -> bool:
        """Whether a trial of another living driver, earlier than trial `number`, asks for the request with that key."""
        ...


class Alone:
    """The only driver of a study in a run folder, which it holds (`nas.study.store.run_lock`)."""

    alone = True

    def turn(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def claim(self, trial: Trial) -> None: ...

    def lost(self, numbers: Collection[int]) -> Collection[int]:  # noqa: ARG002
        return ()

    def may_take(self, trial: FrozenTrial) -> bool:  # noqa: ARG002
        return True

    def is_asked_elsewhere(self, number: int, key: str) -> bool:  # noqa: ARG002
        return False
