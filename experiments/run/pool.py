"""The pool of a run: its executor, how fast that is on these devices, and what can be foretold from it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from experiments.errors import UserError, from_user
from experiments.options.settings import Settings
from experiments.run.calibration import PackedDevice, PackingRecord, SpeedRecord
from experiments.run.folder import RunFolder
from experiments.run.forecast import Images, Pace, mean, spread, time_limit, training_seconds
from experiments.run.problem import Problem
from experiments.run.progress import Narrator
from nas.evaluation import Fidelity, Probe, Request, Timing
from nas.machine import free_cores
from nas.pool.executor import ProbingExecutor
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.packing import choose_slots, measure_packing
from nas.pool.slots import Slot, card_of, resolve_devices
from nas.training.proxy import ProxyEvaluator
from nas.training.speed import Speed, fit_speed
from search_spaces import ArchSpec

_NEAR = 3.0
"""How many times less or more than the networks timed others may cost for the line through them to hold."""
_APART = 2.0
"""How many times the MACs of another a network must have for the two to show how time grows with MACs."""


@dataclass
class WorkerPool:
    """What trains. `asked` are the slots that the user's options come to; GPUs may get more by measuring (`slots`).

    foreseen, taken: seconds that the trainings so far were expected to take, and took. looked: whether other programs
    are busy.
    """

    folder: RunFolder
    settings: Settings
    narrator: Narrator
    problem: Problem
    asked: tuple[Slot, ...]
    closing: ExitStack
    macs: Callable[[ArchSpec], int]
    speed: Speed | None = field(default=None, init=False)
    foreseen: float = field(default=0.0, init=False)
    taken: float = field(default=0.0, init=False)
    looked: bool = field(default=False, init=False)
    slots: tuple[Slot, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.asked[:1] if self._is_inline else self.asked

    @cached_property
    def executor(self) -> ProbingExecutor:
        """The executor; started when the first training is asked for."""
        executor = self._open(self.slots)
        self.closing.callback(executor.close)
        return executor

    def close(self) -> None:
        """End the executor, if it was started."""
        if "executor" in self.__dict__:
            self.executor.close()
            del self.executor  # another is started when it is asked for

    @cached_property
    def images(self) -> Images | None:
        """What the built-in training sees in an epoch; None where another is used."""
        inner = self.problem.evaluator
        if not isinstance(inner, ProxyEvaluator):
            return None
        counts = inner.dataset.counts
        return Images(counts["train"], counts["val"], inner.recipe.batch_for(counts["train"]))

    def calibrate(self, archs: Sequence[ArchSpec]) -> Speed | None:
        """Learn how fast the slots are, from the cheaper and the dearer of the networks to come, and where these cost
        about the same also from both at half their pixels; once for a run, its devices and networks of about this cost.
        None where the training is not the built-in one.
        """
        if self.images is None or not archs or self.speed is not None:
            return self.speed
        macs = [self.macs(arch) for arch in archs]
        cheap, dear = spread(macs)
        ends = [macs[cheap], macs[dear]]
        self._pack(archs[dear])
        known = self.folder.find(SpeedRecord)
        if known is not None and known.of == self._conditions and _covers(known.macs, ends):
            self.speed = known.speed
            return self.speed
        self._say_busy()
        timed = [archs[cheap], archs[dear]]
        if ends[1] < _APART * ends[0]:
            timed += [dataclasses.replace(arch, resolution=max(1, arch.resolution // 2)) for arch in timed]
            ends[0] = min(self.macs(arch) for arch in timed)
        timings = [timing for arch in dict.fromkeys(timed) for timing in self._timings(arch)]
        if timings:
            self.speed = fit_speed(timings)
            self.folder.write(SpeedRecord(self._conditions, (ends[0], ends[1]), self.speed))
        return self.speed

    def seconds_an_epoch(self, arch: ArchSpec) -> float | None:
        """What an epoch of this network takes now on a slot, by a few of its steps; None where it cannot be timed."""
        timings = self._timings(arch)
        if not timings or self.images is None:
            return None
        return training_seconds(fit_speed(timings), self.macs(arch), Fidelity(1), self.images)

    def _timings(self, arch: ArchSpec) -> list[Timing]:
        """Of a network on all slots at once, or on one where so many do not fit."""
        results = self.executor.probe(Probe(arch), len(self.slots))
        if not any(isinstance(result, Timing) for result in results):  # more than fit, at the user's word
            results = self.executor.probe(Probe(arch))
        return [result for result in results if isinstance(result, Timing)]

    def expected(self, request: Request) -> float | None:
        """Expected seconds of a training; None before anything is known."""
        if self.speed is None or self.images is None:
            return None
        return training_seconds(self.speed, self.macs(request.arch), request.fidelity, self.images)

    def note(self, expected: float, seconds: float) -> None:
        """A training that was expected to take so many seconds took so many."""
        self.foreseen += expected
        self.taken += seconds

    @property
    def slower(self) -> float:
        """How many times as long trainings took as was expected of them; 1 before there is one."""
        return self.taken / self.foreseen if self.foreseen else 1.0

    def pace(self, requests: Sequence[Request]) -> Pace | None:
        """For the time left over trainings like these."""
        expected = [seconds for seconds in map(self.expected, requests) if seconds is not None]
        return Pace(mean(expected), len(self.slots)) if expected else None

    def limit(self, asked: Request | Probe) -> float | None:
        """The seconds after which a training or a probe is taken for hanging: --trial-timeout, else by the forecast."""
        if self.settings.pool.trial_timeout is not None:
            return self.settings.pool.trial_timeout
        expected = None if isinstance(asked, Probe) else self.expected(asked)
        return None if expected is None else time_limit(expected)

    @property
    def _is_inline(self) -> bool:
        return self.settings.pool.executor == "inline" or not self.problem.noisy

    @property
    def _conditions(self) -> dict[str, object]:
        """What the speed depends on, beside the networks."""
        inner = self.problem.evaluator
        teacher = inner.objective.teacher if isinstance(inner, ProxyEvaluator) else None
        imitated = {} if teacher is None else {"teacher": teacher.digest}
        return imitated | {
            "slots": [dataclasses.asdict(slot) | {"device": self._card_of(slot)} for slot in self.slots],
            "executor": self.settings.pool.executor,
            "torch": importlib.metadata.version("torch"),
            "images": None if self.images is None else dataclasses.asdict(self.images),
        }

    def _card_of(self, slot: Slot) -> str:
        if self.settings.pool.executor != "ray":
            return card_of(slot.device)
        from nas.pool.cluster import cluster_card  # noqa: PLC0415  needs an optional package

        return cluster_card(slot.device)

    def _say_busy(self) -> None:
        """Where other programs keep cores from the slots, which then count as slow as they are."""
        wanted = sum(slot.threads for slot in self.slots if slot.device == "cpu")
        if self.looked or not wanted or self.settings.pool.executor == "ray":
            return
        self.looked, free = True, free_cores()
        if free < wanted:
            self.narrator.say(
                f"this machine is busy: {free} of {wanted} cores are free for trainings; forecasts are for it as it is"
            )

    def _open(self, slots: Sequence[Slot]) -> ProbingExecutor:
        evaluator = self.problem.evaluator
        if self._is_inline:
            return InlineExecutor(evaluator, slots[0].device, slots[0].threads, time_limit=self.limit)
        if self.settings.pool.executor == "ray":
            from nas.pool.cluster import RayExecutor  # noqa: PLC0415  needs an optional package

            share = 1 / (self.settings.pool.per_device or 1)
            return RayExecutor(evaluator, slots, gpu_share=share, time_limit=self.limit)
        return LocalExecutor(evaluator, slots, time_limit=self.limit)

    @classmethod
    def slots_asked(cls, settings: Settings) -> tuple[Slot, ...]:
        """The slots that the options come to. Raises UserError where devices or a cluster are not there."""
        asked = settings.pool
        if asked.executor != "ray":
            with from_user():
                return resolve_devices(asked.devices, asked.workers, asked.per_device)
        with from_user():
            try:
                from nas.pool.cluster import cluster_slots  # noqa: PLC0415  needs an optional package
            except ModuleNotFoundError:
                raise UserError("--executor ray needs Ray: pip install '.[ray]' in the project's folder") from None
            return cluster_slots(asked.ray_address, asked.workers, asked.per_device)

    def _pack(self, arch: ArchSpec) -> None:
        """Put as many slots on each GPU as are measured to pay, once for equal cards, where the user leaves it open."""
        devices = list(dict.fromkeys(slot.device for slot in self.asked))
        asked = self.settings.pool
        left_open = asked.workers is None and asked.per_device is None and asked.executor == "local"
        if not left_open or not all(device.startswith("cuda") for device in devices):
            return
        known = self.folder.find(PackingRecord)
        packing = {} if known is None else dict(known.devices)
        cards = [card_of(device) for device in devices]
        for device, card in zip(devices, cards, strict=True):
            if card not in packing:
                measured = measure_packing(self._open, Slot(device), Probe(arch, seconds=3.0))
                packing[card] = PackedDevice(choose_slots(measured), measured)
                self.folder.write(PackingRecord(packing))
                found = f"{packing[card].slots} trainings at a time on each card like {device}"
                self.narrator.say(f"packing: {found}, by measuring")
        per_device = min(packing[card].slots for card in cards)
        self.slots = resolve_devices(",".join(devices), per_device=per_device)


def _covers(timed: Sequence[float], asked: Sequence[int]) -> bool:
    """Whether a line through the cheapest and the dearest network `timed` holds for those `asked`, all in MACs."""
    return timed[0] / _NEAR <= asked[0] and asked[1] <= timed[1] * _NEAR
