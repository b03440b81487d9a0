"""Stages that say whether trainings are right on a device."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

import torch

from benchmarks.gpu.place import CLASSES, Findings, Place
from nas.evaluation import Evaluator, Fidelity, Outcome, Report, Request
from nas.failure_causes import cause_of
from nas.pool.executor import Finished, evaluate_safely
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.training.checkpoint import Checkpoints, TrainingState
from nas.training.loop import Training
from nas.training.numerics import FLOAT32, NUMERICS, repeatable
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import RECIPES, fast
from search_spaces import reference_arch

STEPS = 20
NEAR, FAR = 1e-3, 5e-2
"""How far losses on two devices may lie apart, as a share: in the first five steps, and in all STEPS."""


def recipes(place: Place) -> Findings:
    """Every recipe with every numerics, from memory and from the file: steps that never wait for the device, losses
    that are finite, and a checkpoint to go on from."""
    found = Findings()
    device = place.torch_device
    for name, numerics, streamed in product(RECIPES, NUMERICS, (False, True)):
        what = f"{name}, {numerics}, {'streamed' if streamed else 'in memory'}"
        try:
            with repeatable(0, device, numerics), place.streamed() if streamed else nullcontext():
                training = place.training(RECIPES[name](), numerics=numerics)
                losses = _steps(training, 4, watched=device.type == "cuda")
                _save_and_go_on(place, training, place.scratch / what.replace(", ", "_"), numerics)
            if not torch.isfinite(losses).all():
                found.wrong.append(f"{what}: losses {losses.tolist()}")
        except RuntimeError as error:
            found.wrong.append(f"{what}: {str(error).splitlines()[0]}")
    cases = len(RECIPES) * len(NUMERICS) * 2
    watched = ", without waiting for the device" if device.type == "cuda" else ""
    found.lines.append(
        f"{cases - len(found.wrong)} of {cases} trainings took steps{watched}, and went on from a checkpoint"
    )
    return found


def parity(place: Place) -> Findings:
    """Losses of the same steps on the CPU and on the device (rehearsed: by PyTorch alone and by our loops), and
    whether the device repeats itself to the bit."""
    found = Findings()
    recipe, cpu = fast(), torch.device("cpu")

    def losses(device: torch.device, *, plain: bool = False) -> tuple[torch.Tensor, list[torch.Tensor]]:
        with repeatable(0, device, FLOAT32):
            training = place.training(recipe, device, plain=plain, regularised=False)
            lost = _steps(training, STEPS).cpu()
            return lost, [each.cpu() for each in training.network.state_dict().values()]

    there, weights = losses(place.torch_device)
    again, same = losses(place.torch_device)
    here, _ = losses(cpu, plain=True)
    apart = ((there - here).abs() / here.abs()).tolist()
    found.figures |= {"loss_on_cpu": here.tolist(), "loss_on_device": there.tolist(), "apart": apart}
    near, far = max(apart[:5]), max(apart)
    found.lines.append(f"losses differ from the CPU's by {near:.1e} in 5 steps, {far:.1e} in {len(apart)}")
    if near > NEAR or far > FAR:
        found.wrong.append(f"losses differ by more than {NEAR:g} in 5 steps or {FAR:g} in {STEPS}")
    equal = torch.equal(there, again) and all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    found.lines.append(f"a second run gives {'equal bits' if equal else 'other bits'}")
    if not equal:
        found.wrong.append("a second run on the device gives other bits")
    return found


def memory(place: Place) -> Findings:
    """Too little memory: whole batches fail by `oom`, parts of them train, and a smaller training works afterwards."""
    place.needs_gpu("running out of its memory")
    found, device = Findings(), place.torch_device
    arch = replace(reference_arch("efficientnet_b0"), resolution=224)
    evaluator = ProxyEvaluator(place.dataset)
    request = Request(arch, Fidelity(epochs=1, train_fraction=0.05))
    torch.cuda.reset_peak_memory_stats(device)
    whole = evaluate_safely(evaluator, request, place.device, lambda _epoch, _value: True)
    needed = torch.cuda.max_memory_reserved(device)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    ballast = torch.empty(int(free - 0.6 * needed), dtype=torch.uint8, device=device)
    outcomes = {0: whole}
    for parts in (1, 2, 4):
        asked = replace(request, micro_batches=parts)
        outcomes[parts] = evaluate_safely(evaluator, asked, place.device, lambda _epoch, _value: True)
        torch.cuda.empty_cache()
    del ballast
    texts = {parts: "trained" if each.failure is None else each.failure.kind for parts, each in outcomes.items()}
    found.figures |= {"bytes_needed": needed, "outcomes": {str(parts): text for parts, text in texts.items()}}
    found.lines.append(f"B0 at 224 pixels needs {needed / 1e9:.1f} GB; with 0.6 of it whole batches: {texts[1]}, in 2 "
                       f"parts: {texts[2]}, in 4: {texts[4]}")  # fmt: skip
    if texts[0] != "trained" or texts[1] != "oom" or texts[4] != "trained":
        found.wrong.append(f"outcomes {texts}")
    return found


def faults(place: Place) -> Findings:
    """A worker that is killed, and on a GPU one whose device fails an assertion: both become failures of their trials,
    and the next trial is trained."""
    found = Findings()
    kinds = ["killed", "device assertion"] if place.torch_device.type == "cuda" else ["killed"]
    for kind in kinds:
        evaluator: Evaluator = Faulty(ProxyEvaluator(place.dataset), kind)
        request = Request(place.arch, Fidelity(epochs=1, train_fraction=0.5))
        with closing(LocalExecutor(evaluator, [Slot(place.device)])) as executor:
            ends = [_outcome(executor, replace(request, seed=seed)) for seed in (FAULTY, 0)]
        first, second = (each.failure.message if each.failure else "trained" for each in ends)
        found.lines.append(f"{kind}: {first}; then: {second}")
        if ends[0].failure is None or ends[0].failure.kind != "crashed" or ends[1].failure is not None:
            found.wrong.append(f"{kind}: {first}; then: {second}")
        if kind == "device assertion" and cause_of(first) != "device":
            found.wrong.append(f"{kind}: not taken for a lost device: {first}")
    return found


FAULTY = 13  # the seed whose training goes wrong


@dataclass(frozen=True)
class Faulty:
    """Trains as `inner` does, but from the seed FAULTY."""

    inner: ProxyEvaluator
    kind: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        if request.seed == FAULTY and self.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if request.seed == FAULTY:
            labels = torch.full((4,), CLASSES + 5, device=device)
            torch.nn.functional.cross_entropy(torch.zeros(4, CLASSES, device=device), labels).item()
        return self.inner.evaluate(request, device, report)


def _outcome(executor: LocalExecutor, request: Request) -> Outcome:
    executor.submit(0, request)
    while True:
        for event in executor.wait():
            if isinstance(event, Finished):
                return event.outcome


def _steps(training: Training, count: int, *, watched: bool = False) -> torch.Tensor:
    """The losses of `count` steps. watched: what waits for the device after the first step raises RuntimeError."""
    training.network.train()
    batches = _endless(training)
    losses = []
    try:
        for images, labels in islice(batches, count):
            losses.append(training.step(images, labels))
            if training.average is not None:
                training.average.update(training.network)
            if watched:
                torch.cuda.set_sync_debug_mode("error")
    finally:
        if watched:
            torch.cuda.set_sync_debug_mode("default")
    return torch.stack(losses)


def _endless(training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    training.optimizer.zero_grad()
    for group in training.optimizer.param_groups:
        group["lr"] = 0.01 * group["rate_factor"]
    size = training.recipe.batch_for(len(training.train))
    epoch = 1
    while True:
        yield from training.batches(epoch, size)
        epoch += 1


def _save_and_go_on(place: Place, training: Training, folder: Path, numerics: str) -> None:
    kept = Checkpoints(folder)
    kept.save(training, TrainingState((0.5,), 1.0))
    fresh = place.training(training.recipe, numerics=numerics)
    kept.restore(fresh)
    _steps(fresh, 2, watched=place.torch_device.type == "cuda")
