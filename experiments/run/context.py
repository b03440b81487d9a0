"""What all steps of a run share: the folder, the data, the devices and the pool that trains on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution

from experiments.errors import RunFailedError, UserError, from_user, told
from experiments.options.settings import Settings
from experiments.run.folder import RunFolder, open_run_folder
from experiments.run.forecast import Pace
from experiments.run.pool import WorkerPool
from experiments.run.problem import Problem, open_images, open_table
from experiments.run.progress import Narrator, Task
from experiments.run.tensorboard import Writer, open_writer, write_trial
from nas.evaluation import INT8, Fidelity, Outcome, Request, default_epochs, with_int8
from nas.figures import Figure, MultiplyAdds, Parameters
from nas.pool.drive import TooManyFailuresError
from nas.pool.executor import Executor, WorkersError
from nas.pool.messages import UnpicklableError
from nas.pool.slots import Slot
from nas.search import TrialEvent, evaluate_all, unanswered
from nas.study.passwords import shown_address
from nas.study.shared import DatabaseLostError
from nas.study.store import JournalError, open_study, read_study, run_lock
from nas.training.checkpoint import trial_checkpoints
from search_spaces import ArchSpec

FINAL_EPOCHS = 20
"""The least of the frontier's trainings, where neither the user nor the folder says."""

CONFIRMED = 2
"""Times the search's epochs, of the trainings that confirm its best."""


def usual_final_epochs(short: int | None) -> int:
    """Of the frontier's trainings, where nobody says: twice those of the short training, but at least FINAL_EPOCHS."""
    return max(FINAL_EPOCHS, 2 * (short or 0))


class Listener(Protocol):
    """Somebody who is told how a run gets on, such as its page. Raises nothing."""

    def trial_finished(self) -> None: ...

    def results_written(self) -> None: ...


@dataclass
class RunContext:
    """An opened run: what its steps train on, and where they write. opened: when, by the monotonic clock."""

    folder: RunFolder
    settings: Settings
    narrator: Narrator
    problem: Problem
    slots: tuple[Slot, ...]
    closing: ExitStack = field(default_factory=ExitStack)
    board: Writer | None = None
    listeners: Sequence[Listener] = ()
    opened: float = field(default_factory=time.monotonic)

    @property
    def num_classes(self) -> int:
        return self.problem.num_classes

    @property
    def resolution(self) -> int:
        """Of networks whose resolution nobody chooses, in pixels."""
        return self.problem.resolutions.single

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Among which a resolution is chosen, the largest first."""
        return self.problem.resolutions.allowed

    @cached_property
    def proxy(self) -> Fidelity:
        """The short training of search, grid and the ways to fit a known network: as long as asked for, else as the
        folder's, else by the images."""
        asked = self.settings.training
        images = self.problem.facts.train_images or 0
        epochs = asked.epochs or self.folder.read().epochs or default_epochs(round(images * asked.train_fraction))
        return Fidelity(epochs, asked.train_fraction)

    @cached_property
    def confirmation(self) -> Fidelity:
        """Of the search's best, longer than there: what leads after few epochs need not lead after more
        (docs/budget.md). A folder keeps to what it began with, which in earlier versions was the search's length."""
        path = self.folder.journal("confirm")
        begun = read_study(path, "confirm").get_trials(deepcopy=False) if path.exists() else ()
        lengths = [trial.user_attrs["fidelity"]["epochs"] for trial in begun if "fidelity" in trial.user_attrs]
        return replace(self.proxy, epochs=lengths[0] if lengths else CONFIRMED * self.proxy.epochs)

    @property
    def growth_rule(self) -> str:
        """The rule of scale_arch by which networks of equal cost grow: that which the folder began with."""
        return self.folder.read().growth

    @property
    def points(self) -> str:
        """The rule by which the points of the coefficient search and the family grow."""
        asked = self.settings.growth.points
        return self.growth_rule if asked == "matched" else asked

    @property
    def final(self) -> Fidelity:
        """The longer training that everything on the frontier gets: as long as asked for, else as the folder's."""
        asked = self.settings.final.final_epochs
        return Fidelity(asked or self.folder.read().final_epochs or usual_final_epochs(self.proxy.epochs))

    @cached_property
    def macs(self) -> MultiplyAdds:
        """Multiply-adds with the classes of this data set."""
        return MultiplyAdds(self.num_classes)

    @cached_property
    def params(self) -> Parameters:
        """Parameters with the classes of this data set."""
        return Parameters(self.num_classes)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What is kept of every network that is trained."""
        return self.macs, self.params

    @property
    def executor(self) -> Executor:
        """What trains; started when the first training is asked for, and again after `close_pool`."""
        return self.pool.executor

    @cached_property
    def pool(self) -> WorkerPool:
        """The executor and what is known of its speed."""
        return WorkerPool(
            self.folder, self.settings, self.narrator, self.problem, self.slots, self.closing, self.macs.of
        )

    def close_pool(self) -> None:
        """End the workers, where there are any, so that those of another evaluator can take their place."""
        if "pool" in self.__dict__:
            self.pool.close()

    def request(
        self,
        arch: ArchSpec,
        fidelity: Fidelity,
        seed: int,
        split: str = "val",
        *,
        method: str | None = None,
        looked_at: bool = False,
    ) -> Request:
        """A training of this run; all that its steps list are made here, so that each says the evaluator's method, or
        that of an evaluator beside it.

        looked_at: one of the few whose accuracy after quantisation is measured too, if that is asked for.
        """
        method = self.problem.method if method is None else method
        if looked_at and self.settings.training.int8:
            method = with_int8(method)
        return Request(arch, fidelity, seed, split, method=method)

    def claim(self, step: str, identity: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
        """Record what a step asks; see RunFolder.claim."""
        common = {"data": self.problem.facts, "devices": [slot.device for slot in self.slots]}
        asked = self.settings.flat()
        asked["final_epochs"] = self.final.epochs
        asked["storage"] = None if asked["storage"] is None else shown_address(asked["storage"])
        self.folder.claim({**self.identity, **identity}, {**common, **(facts or {})}, step, asked)

    @property
    def identity(self) -> dict[str, Any]:
        """What no step of a run may change."""
        problem = self.problem
        return {
            "seed": self.settings.general.seed,
            "data set": problem.fingerprint,
            "resolution": problem.resolutions.single,
            "recipe": problem.recipe,
            "cached pixels": problem.cached_size,
        }

    def train(
        self,
        name: str,
        requests: Sequence[Request],
        labels: Callable[[Request], Mapping[str, Any]],
        what: str,
        axes: Mapping[str, BaseDistribution] | None = None,
    ) -> Mapping[str, Outcome]:
        """Train a fixed list of requests; those in the journal `name` already are answered from it.

        labels: what to note about each request; those named in `axes` become parameters of its trial, the others
        attributes.
        """
        study = open_study(self.folder.journal(name), name)
        left = unanswered(requests, study)
        self.pool.calibrate([request.arch for request in left])
        pace = self.pool.pace(left)
        with self.narrator.task(what, len({request.key for request in requests})) as task:
            return evaluate_all(
                requests,
                self.executor,
                study,
                figures=self.figures,
                labels=labels,
                axes=axes,
                on_event=lambda event: self.note(task, event, pace, _called(event.request, labels)),
            )

    def unanswered(self, name: str, requests: Sequence[Request]) -> list[Request]:
        """Those of the requests that the journal `name` does not answer."""
        path = self.folder.journal(name)
        return unanswered(requests, open_study(path, name)) if path.exists() else list(requests)

    def note(self, task: Task, event: TrialEvent, pace: Pace | None = None, called: str = "") -> None:
        """Say what happened to one trial, and forget what was kept of it while it ran. called: its name, where it has
        one beside its number."""
        left = None
        if pace is not None and event.finished:
            expected = None if event.request is None else self.pool.expected(event.request)
            if expected is not None and event.outcome is not None and event.outcome.value and event.outcome.seconds:
                pace.note(expected, event.outcome.seconds)
                self.pool.note(expected, event.outcome.seconds)
            left = pace.seconds(event.total - event.done)
        note_trial(task, event, left, called)
        if self.board is not None:
            write_trial(self.board, task.label, event, self.figures)
        if event.finished and event.request is not None:
            trial_checkpoints(self.folder.checkpoints, event.request).remove()
        if event.finished:
            for listener in self.listeners:
                listener.trial_finished()

    def results_written(self) -> None:
        """Say that a step has written tables or results."""
        for listener in self.listeners:
            listener.results_written()


def in_int8(outcomes: Sequence[Outcome]) -> list[float]:
    """The values after quantisation, of the trainings in which they were measured."""
    return [outcome.metrics[INT8] for outcome in outcomes if INT8 in outcome.metrics]


def _called(request: Request | None, labels: Callable[[Request], Mapping[str, Any]]) -> str:
    """A training's network and seed, where the network has a name."""
    network = None if request is None else labels(request).get("network")
    return "" if request is None or network is None else f"{network}, seed {request.seed}:"


def note_trial(task: Task, event: TrialEvent, left: float | None = None, called: str = "") -> None:
    """Say where a step stands after what happened to one trial. left: seconds that are expected still; called: its
    name, where it has one beside its number."""
    if not event.finished:
        return
    named = f"#{event.number} {called}".rstrip()
    if event.pruned:
        task.reach(event.done, f"{named} stopped after epoch {event.epoch}", left)
    elif event.outcome is None:
        task.reach(event.done, f"{named} not trained", left)
    elif event.outcome.failure is not None:
        task.reach(event.done, f"{named} failed: {event.outcome.failure.kind}", left)
    else:
        task.reach(event.done, f"{named} {event.outcome.metric} {100 * (event.outcome.value or 0):.1f} %", left)


@contextmanager
def open_run(
    data: str | None,
    path: str | Path,
    settings: Settings,
    narrator: Narrator,
    listeners: Sequence[Listener] = (),
) -> Iterator[RunContext]:
    """Open data (None: the table named in the settings) and devices for a run folder, and hold it as its only driver.

    Raises UserError for whatever the user can mend: data, devices, a folder of another run or in use.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begun = time.monotonic()
    slots = WorkerPool.slots_asked(settings)
    folder = open_run_folder(path)
    with ExitStack() as stack:
        with from_user():
            stack.enter_context(run_lock(folder.path))
        folder.check({"seed": settings.general.seed})
        with from_user(), narrator.counting("decode") as progress:
            problem = _open_problem(data, folder, settings, progress, narrator.say)
        found, *remarks = problem.summary
        for line in (f"data: {problem.name}, {found}", *(f"  {remark}" for remark in remarks)):
            narrator.say(line)
        run = RunContext(folder, settings, narrator, problem, slots, listeners=listeners, opened=begun)
        stack.push(run.closing)
        if settings.general.tensorboard:
            run.board = open_writer(folder.tensorboard)
            stack.callback(run.board.close)
        folder.check(run.identity)
        try:
            yield run
        except (TooManyFailuresError, WorkersError, DatabaseLostError) as error:
            raise RunFailedError(f"stopped, with all that is finished saved: {error}") from error
        except (JournalError, UnpicklableError) as error:
            raise UserError(str(error)) from error
        except OSError as error:  # a full disk, a folder that can be written no more
            if not folder.path.is_dir():
                raise UserError(f"stopped: the run folder {folder.path} was removed meanwhile") from error
            raise UserError(f"stopped, with all that is finished saved: {told(error)}") from error


def _open_problem(
    data: str | None,
    folder: RunFolder,
    settings: Settings,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> Problem:
    if data is not None and settings.data.benchmark is None:
        return open_images(data, folder, settings, progress, say)
    if data is None and settings.data.benchmark is not None:
        return open_table(settings.data.benchmark)
    raise UserError("give either DATA or --benchmark FILE")
