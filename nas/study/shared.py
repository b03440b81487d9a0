"""A study in PostgreSQL that several drivers fill together: exactly the trials asked for, and none trained twice."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nas.evaluation import Outcome, Request
from nas.pool.drive import LATER, Job
from nas.study.passwords import hide_password
from nas.study.store import Direction
from nas.study.trials import Bookkeeping

_DRIVER = "driver"  # trial attribute: who runs it
_BEAT = "scalenas:alive:"  # study attribute of each driver, renewed while it lives
_BEAT_EVERY = 15.0
_DEAD_AFTER = 90.0
_DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)


class DatabaseLostError(RuntimeError):
    """The database of a shared study cannot be used any more; the message is one line for people."""


@contextlib.contextmanager
def open_shared_study(
    storage: str,
    name: str,
    driver: str,
    sampler: optuna.samplers.BaseSampler,
    directions: Sequence[Direction] = ("maximize",),
) -> Iterator[SharedStudy]:
    """The study `name` in a PostgreSQL database, made when it is not there; `driver` is alive meanwhile.

    storage: the database's address. driver: a name that this driver, and no other, has each time that it is started.
    Raises ValueError when `storage` is no PostgreSQL address or the database cannot be used, and DatabaseLostError, in
    place of what the database's libraries raise, when that changes later.
    """
    try:
        parsed = make_url(storage)
    except ArgumentError:
        raise ValueError(
            f"`storage` {hide_password(storage)}: not an address such as postgresql://user@host/database"
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise ValueError(f"`storage` {hide_password(storage)}: must be a postgresql:// address")
    full = parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    options = {"pool_pre_ping": True}  # so that a restart of the server between two uses costs nothing
    try:
        turns = sqlalchemy.create_engine(full, **options)
        with _turn(turns, "schema"):
            opened = RDBStorage(full, engine_kwargs=options)
            study = optuna.create_study(
                study_name=name, storage=opened, sampler=sampler, directions=list(directions), load_if_exists=True
            )
    except ModuleNotFoundError:
        raise ValueError("`storage` needs psycopg: install scalenas[postgresql]") from None
    except (*_DATABASE_ERRORS, RuntimeError) as error:  # the latter where another version of Optuna made the tables
        raise ValueError(f"`storage` {hide_password(storage)}: cannot be used: {_reason(error)}") from None
    shared = SharedStudy(study, driver, turns)
    try:
        with shared.alive():
            yield shared
    except _DATABASE_ERRORS as error:
        raise DatabaseLostError(
            f"`storage` {hide_password(storage)}: lost the database: {_reason(error)}; when it is there again, go on "
            "with the same command"
        ) from error
    finally:
        turns.dispose()
        opened.engine.dispose()


def _reason(error: Exception) -> str:
    """What the database or its driver said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return hide_password((str(getattr(cause, "orig", cause)).splitlines() or [type(cause).__name__])[0])


@dataclass
class SharedStudy:
    """A study, this driver's name in it, and what it knows of other drivers' lives."""

    study: Study
    driver: str
    turns: sqlalchemy.Engine
    _beats: dict[str, tuple[Any, float]] = field(default_factory=dict)  # driver -> its last beat, and when that was new

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Hold the study: no other driver is in its turn meanwhile. Ends with the process, however that ends."""
        return _turn(self.turns, self.study.study_name)

    def beat(self) -> None:
        """Tell the others that this driver lives. What is told only has to change: clocks may differ."""
        self.study.set_user_attr(_BEAT + self.driver, time.time())

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Beat until the end."""
        end = threading.Event()

        def keep_beating() -> None:
            while not end.wait(_BEAT_EVERY):
                with contextlib.suppress(*_DATABASE_ERRORS):  # the next one may get through
                    self.beat()

        self.beat()
        thread = threading.Thread(target=keep_beating, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def is_dead(self, driver: str) -> bool:
        """Whether that driver has been silent for too long, as far as this one has watched it."""
        beat = self.study.user_attrs.get(_BEAT + driver)
        now = time.monotonic()
        if driver not in self._beats or self._beats[driver][0] != beat:
            self._beats[driver] = (beat, now)
        return now - self._beats[driver][1] > _DEAD_AFTER


@dataclass
class SharedBookkeeping(Bookkeeping):
    """The bookkeeping of one driver among several. Each asks and stores in its turn, and sees what the others run and
    know.

    A trial that asks what another driver trains waits for it. What a dead driver left is taken over; should that one
    come back, it lets go of it. The search ends when all trials have, whoever runs them.
    """

    shared: SharedStudy | None = None
    known: set[int] = field(default_factory=set)  # finished trials already remembered
    elsewhere: list[tuple[Trial, Request, float]] = field(default_factory=list)  # and cost; waiting for another driver

    def jobs(self) -> Iterator[Job]:
        assert self.shared is not None
        while True:
            with self.shared.turn():
                job = self._next(self.shared)
            if job == "end":
                return
            yield job

    def _next(self, shared: SharedStudy) -> Job | Literal["end"]:
        trials = self._learn()
        asked = [waiting for waiting in self.elsewhere if self._is_mine(trials[waiting[0].number])]
        self.elsewhere = []
        for i, waiting in enumerate(asked):
            job = self._place(*waiting)
            if job is not None:
                self.elsewhere += asked[i + 1 :]
                return job
        if asked:
            trials = self._learn()  # some of them were answered just now
        mine = {trial.number for trial, _, _ in self.elsewhere} | self.running.keys() | self._waiting_here()
        running = [frozen for frozen in trials if frozen.state == TrialState.RUNNING and frozen.number not in mine]
        for frozen in running:
            owner = frozen.user_attrs.get(_DRIVER)
            if owner == shared.driver or shared.is_dead(str(owner)):
                return self._take(self._resume(frozen))
        if self._begun() < self.trials:
            return self._take(self.study.ask(self.space.distributions()))
        return LATER if mine or running else "end"

    def _learn(self) -> list[FrozenTrial]:
        """All trials as they are now, with those remembered that have finished, whoever ran them."""
        trials = self.study.get_trials(deepcopy=False)
        for frozen in trials:
            if frozen.state.is_finished() and frozen.number not in self.known:
                self.known.add(frozen.number)
                self._remember(frozen)
        return trials

    @contextlib.contextmanager
    def _batch(self, *, durable: bool = False) -> Iterator[None]:
        """A turn, in which nobody takes over what this driver writes to."""
        assert self.shared is not None
        with self.shared.turn():
            self._let_go()
            with super()._batch(durable=durable):
                yield

    def _let_go(self) -> None:
        """Forget the trials that others took over while this driver was silent; `elsewhere` is looked through later."""
        trials = self.study.get_trials(deepcopy=False)
        for number, running in list(self.running.items()):
            running.waiting = [trial for trial in running.waiting if self._is_mine(trials[trial.number])]
            if not self._is_mine(trials[number]):
                del self.running[number]
                self.dropped.add(number)
                self.elsewhere += [(trial, running.request, running.cost) for trial in running.waiting]
        self.unwritten = [(trial, report) for trial, report in self.unwritten if trial.number in self.running]

    def _is_mine(self, frozen: FrozenTrial) -> bool:
        assert self.shared is not None
        return frozen.state == TrialState.RUNNING and frozen.user_attrs.get(_DRIVER) == self.shared.driver

    def _take(self, trial: Trial) -> Job:
        assert self.shared is not None
        trial.set_user_attr(_DRIVER, self.shared.driver)
        return self._prepare(trial)

    def _waiting_here(self) -> set[int]:
        return {trial.number for running in self.running.values() for trial in running.waiting}

    def _place(self, trial: Trial, request: Request, cost: float) -> Job:
        answered = request.key in self.answers or request.key in self.pruned
        if not answered and self._is_trained_elsewhere(trial, request):
            self.elsewhere.append((trial, request, cost))
            return None
        return super()._place(trial, request, cost)

    def _is_trained_elsewhere(self, trial: Trial, request: Request) -> bool:
        """Whether a trial of another living driver, earlier than this one, asks the same: waiting for earlier ones
        alone, none waits in a circle.
        """
        assert self.shared is not None
        for frozen in self.study.get_trials(deepcopy=False)[: trial.number]:
            attrs = frozen.user_attrs
            if frozen.state == TrialState.RUNNING and attrs.get("request_key") == request.key:
                owner = str(attrs.get(_DRIVER))
                if owner != self.shared.driver and not self.shared.is_dead(owner):
                    return True
        return False

    def _end(self, trial: Trial, request: Request | None, outcome: Outcome | None, **news: Any) -> None:
        self.known.add(trial.number)
        super()._end(trial, request, outcome, **news)


@contextlib.contextmanager
def _turn(engine: sqlalchemy.Engine, what: str) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock for `what`; the server frees it when the connection ends."""
    key = {"key": zlib.crc32(f"scalenas {what}".encode())}
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), key)
        connection.commit()
        try:
            yield
        except BaseException:
            connection.invalidate()  # frees the lock as well, and raises nothing over what went wrong
            raise
        connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)
        connection.commit()
