"""The executor of a Ray cluster: an actor for each slot, wherever Ray finds room for it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import pickle
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from nas.evaluation import Evaluator
from nas.pool.crew import WorkerExecutor
from nas.pool.executor import Finished, Reported, TimeLimit, one_line, prepare_run, prepare_worker
from nas.pool.messages import Broken, Go, Message, Order, Ready, Release, Run, RunProbe, Stop, pickled
from nas.pool.seat import Worker, WorkerDiedError
from nas.pool.slots import Slot, keep_memory, pin_threads
from nas.pool.worker import release, serve

PACKAGES = ("search_spaces", "nas", "scaling_search", "experiments")
_PATIENCE = 10.0  # seconds for the head node to answer
_LOOPBACK = ("127.", "[::1]", "localhost")


class ClusterError(ValueError):
    """A cluster that cannot be used; the text is one line for people."""


def cluster_slots(address: str | None, workers: int | None, per_device: int | None) -> tuple[Slot, ...]:
    """The slots of the cluster at `address` ("auto", "host:port", "ray://host:port"; None starts one here).

    One for each GPU, or `per_device`; on a cluster without GPUs one for each CPU core. `workers` sets the number
    instead. Raises ClusterError when it does not answer or has no room.
    """
    connect(address)
    resources = ray.cluster_resources()
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    on_gpus = [Slot("cuda:0", max(1, cores // (gpus * (per_device or 1))))] * (gpus * (per_device or 1)) if gpus else []
    slots = on_gpus or [Slot("cpu", 1)] * cores
    if not slots:
        raise ClusterError(f"the Ray cluster {address or 'of this machine'} has neither GPUs nor CPU cores")
    if workers is not None:
        slots = [slots[0]] * workers
    return tuple(slots)


def cluster_card(device: str) -> str:
    """As `card_of`, of a slot of the cluster: all kinds of GPUs that Ray tells of, since any may be behind it."""
    kinds = sorted(name for name in ray.cluster_resources() if name.startswith("accelerator_type:"))
    return ", ".join(kinds) if kinds and device != "cpu" else device


def connect(address: str | None) -> None:
    """Join the cluster, once in a process; without an address start one that listens on the loopback interface alone.

    Raises ClusterError when that fails.
    """
    if ray.is_initialized():
        return
    _check_address(address)
    where: dict[str, Any] = {"address": address}
    if address is None:
        where = {"address": "local", "include_dashboard": False}  # "local": whatever the environment names
        _stay_on_loopback()
    if not (address or "").startswith("ray://"):  # where Ray's workers look into the driver's folder first
        where["runtime_env"] = {"worker_process_setup_hook": _loader(PACKAGES)}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise ClusterError(f"`address` {address or 'local'}: {one_line(error)}") from None
    if address is None and not ray.get_runtime_context().gcs_address.startswith(_LOOPBACK):
        ray.shutdown()
        raise ClusterError("this version of Ray listens on all interfaces: start a cluster and give its address")


def _stay_on_loopback() -> None:
    """Have a Ray that is started here listen on the loopback interface alone. Ray has no argument for this; this
    switch, made for Windows and macOS, does it."""
    from ray._private import ray_constants  # noqa: PLC0415  private: only where it is needed

    ray_constants.ENABLE_RAY_CLUSTER = False


def _loader(packages: Sequence[str]) -> Callable[[], None]:
    """What loads packages in a Ray worker before the driver's working directory is put in front of its path: a folder
    of the user's there may have the name of one of them. A closure, for those are sent by value, not imported."""

    def load() -> None:
        for package in packages:
            with contextlib.suppress(ImportError):  # not installed there: found in the working directory or nowhere
                importlib.import_module(package)

    return load


def _check_address(address: str | None) -> None:
    """Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        except OSError as error:
            raise ClusterError(f"`address` {address}: {error.strerror or error}; is the head node up?") from None


class RayExecutor(WorkerExecutor):
    """Runs trials in actors of the Ray cluster that this process has joined (see `connect`), one for each slot.

    An actor takes the slot's threads as CPUs, and on a GPU the share `gpu_share` of one. Data that evaluators read from
    files must lie where every node finds it. See WorkerExecutor for tries, limits and failures.
    """

    start_limit = None  # an actor may wait for room for as long as others use the cluster

    def __init__(
        self,
        evaluator: Evaluator,
        slots: Sequence[Slot],
        *,
        gpu_share: float = 1.0,
        time_limit: TimeLimit = None,
        retries: int = 1,
    ) -> None:
        prepare_run(evaluator)
        self._evaluator = ray.put(pickled(evaluator))
        self._gpu_share = gpu_share
        super().__init__(slots, time_limit, retries)

    def _start_worker(self, slot: Slot) -> Worker:
        gpus = self._gpu_share if slot.device.startswith("cuda") else 0
        options = {
            "num_cpus": slot.threads if not gpus else 0,
            "num_gpus": gpus,
            "max_concurrency": 3,  # a trial, a wait for its news, and a request to stop
            "max_restarts": 0,
        }
        actor = _Actor.options(**options).remote(self._evaluator, slot)  # type: ignore[attr-defined]
        return _RayWorker(actor, actor.news.remote())

    def _wait_for_news(self, workers: Sequence[Worker], timeout: float) -> list[Worker]:
        by_news = {worker.pending: worker for worker in workers if isinstance(worker, _RayWorker)}
        ready, _ = ray.wait(list(by_news), num_returns=1, timeout=timeout)
        if ready:
            ready, _ = ray.wait(list(by_news), num_returns=len(by_news), timeout=0)
        return [by_news[news] for news in ready]


@dataclass(eq=False)
class _RayWorker:
    actor: Any
    pending: Any  # the next news

    def send(self, message: Order) -> None:
        with contextlib.suppress(RayError):
            self.actor.take.remote(message)

    def receive(self) -> list[Message]:
        try:
            messages: list[Message] = ray.get(self.pending, timeout=0)
        except GetTimeoutError:
            return []
        except RayActorError as error:
            raise WorkerDiedError(f"the Ray actor is gone ({_first_line(error)})") from None
        self.pending = self.actor.news.remote()
        return messages

    def kill(self) -> None:
        """Has Ray kill the actor's process, and does not wait for that; what it started is left to Ray."""
        with contextlib.suppress(RayError):
            ray.kill(self.actor, no_restart=True)


@ray.remote
class _Actor:
    """Holds the evaluator, runs one trial at a time in a thread of its own, and hands out the news."""

    def __init__(self, evaluator_pickle: bytes, slot: Slot) -> None:
        self._slot = slot
        self._news: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stopped: set[int] = set()
        self._answers: queue.SimpleQueue[Go | Stop] = queue.SimpleQueue()
        self._evaluator: Evaluator | None = None
        context = ray.get_runtime_context()
        gpus = ",".join(map(str, ray.get_gpu_ids()))
        self._place = f"{context.get_node_id()[:8]}/{gpus or 'cpu'}"
        try:
            self._evaluator = pickle.loads(evaluator_pickle)
        except Exception as error:
            self._news.put(Broken(f"cannot load the evaluator: {one_line(error)}"))
            return
        pin_threads(slot.threads)
        keep_memory()
        unprepared = prepare_worker(self._evaluator, slot.device)
        self._news.put(Ready(self._place) if unprepared is None else Broken(unprepared))

    def news(self) -> list[Message]:
        """Everything there is; waits until there is something."""
        messages = [self._news.get()]
        while not self._news.empty():
            messages.append(self._news.get())
        return messages

    def take(self, order: Order) -> None:
        """Begin a trial or a probe, which goes on after this returns; give memory back; or pass on a word to the trial
        that runs."""
        if isinstance(order, Stop):
            self._stopped.add(order.ticket)
        if isinstance(order, Run | RunProbe):
            threading.Thread(target=self._serve, args=(order,), daemon=True).start()
        elif isinstance(order, Release):
            assert self._evaluator is not None
            self._news.put(release(self._evaluator, self._slot.device))
        else:
            self._answers.put(order)

    def _serve(self, order: Run | RunProbe) -> None:
        waits = isinstance(order, Run) and order.waits

        def report(epoch: int, value: float) -> bool:
            self._news.put(Reported(order.ticket, epoch, value))
            while waits and order.ticket not in self._stopped and self._answers.get() != Go(order.ticket):
                pass  # an answer to the trial before
            return order.ticket not in self._stopped

        assert self._evaluator is not None
        answer = serve(order, self._evaluator, self._slot.device, report)
        # On a cluster "cuda:0" is every actor's name for its GPU: what is stored names the node too.
        if isinstance(answer, Finished) and answer.outcome.device == self._slot.device != "cpu":
            answer = replace(answer, outcome=replace(answer.outcome, device=self._place))
        self._news.put(answer)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
