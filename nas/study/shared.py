"""A study in PostgreSQL that several drivers fill together: exactly the trials asked for, and none trained twice."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from nas.study.passwords import check_address, hide_password, shown_address
from nas.study.store import Direction

_DRIVER = "driver"  # trial attribute: who runs it
_BEAT = "scalenas:alive:"  # study attribute of each driver, renewed while it lives
BEAT_EVERY = 15.0
DEAD_AFTER = 90.0  # seconds without a beat
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
    check_address(storage)
    full = make_url(storage).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    options = {"pool_pre_ping": True}  # so that a restart of the server between two uses costs nothing
    try:
        turns = sqlalchemy.create_engine(full, **options)
        with database_turn(turns, "schema"):
            opened = RDBStorage(full, engine_kwargs=options)
            study = optuna.create_study(
                study_name=name, storage=opened, sampler=sampler, directions=list(directions), load_if_exists=True
            )
    except ModuleNotFoundError:
        raise ValueError("`storage` needs psycopg: pip install '.[postgresql]' in the project's folder") from None
    except (*_DATABASE_ERRORS, RuntimeError) as error:  # the latter where another version of Optuna made the tables
        raise ValueError(f"`storage` {shown_address(storage)}: cannot be used: {_reason(error, storage)}") from None
    shared = SharedStudy(study, driver, turns)
    try:
        with shared.alive():
            yield shared
    except _DATABASE_ERRORS as error:
        raise DatabaseLostError(
            f"`storage` {shown_address(storage)}: lost the database: {_reason(error, storage)}; when it is there "
            "again, go on with the same command"
        ) from error
    finally:
        turns.dispose()
        opened.engine.dispose()


def _reason(error: Exception, storage: str) -> str:
    """What the database or its driver said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return hide_password((str(getattr(cause, "orig", cause)).splitlines() or [type(cause).__name__])[0], storage)


@dataclass
class SharedStudy:
    """A study that several drivers fill (`nas.study.drivers.Drivers`): this one's name in it, and what it knows of the
    others' lives.
    """

    study: Study
    driver: str
    turns: sqlalchemy.Engine
    alone = False
    _beats: dict[str, tuple[Any, float]] = field(default_factory=dict)  # driver -> its last beat, and when that was new

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Hold the study: no other driver is in its turn meanwhile. Ends with the process, however that ends."""
        return database_turn(self.turns, self.study.study_name)

    def beat(self) -> None:
        """Tell the others that this driver lives. What is told only has to change: clocks may differ."""
        self.study.set_user_attr(_BEAT + self.driver, time.time())

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Beat until the end."""
        end = threading.Event()

        def keep_beating() -> None:
            while not end.wait(BEAT_EVERY):
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
        return now - self._beats[driver][1] > DEAD_AFTER

    def claim(self, trial: Trial) -> None:
        """Note that this driver runs the trial."""
        trial.set_user_attr(_DRIVER, self.driver)

    def lost(self, numbers: Collection[int]) -> Collection[int]:
        """Those of this driver's trials that another one took over."""
        trials = self.study.get_trials(deepcopy=False) if numbers else []
        return {number for number in numbers if not self._is_mine(trials[number])}

    def _is_mine(self, trial: FrozenTrial) -> bool:
        return trial.state == TrialState.RUNNING and trial.user_attrs.get(_DRIVER) == self.driver

    def may_take(self, trial: FrozenTrial) -> bool:
        """Whether a running trial is this driver's, left by a kill, or one of a driver that is dead."""
        owner = trial.user_attrs.get(_DRIVER)
        return owner == self.driver or self.is_dead(str(owner))

    def is_asked_elsewhere(self, number: int, key: str) -> bool:
        """Whether a trial of another living driver, earlier than trial `number`, asks for the request with that key:
        waiting for earlier ones alone, none waits in a circle.
        """
        for trial in self.study.get_trials(deepcopy=False)[:number]:
            if trial.state == TrialState.RUNNING and trial.user_attrs.get("request_key") == key:
                owner = str(trial.user_attrs.get(_DRIVER))
                if owner != self.driver and not self.is_dead(owner):
                    return True
        return False


@contextlib.contextmanager
def database_turn(engine: sqlalchemy.Engine, what: str) -> Iterator[None]:
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
