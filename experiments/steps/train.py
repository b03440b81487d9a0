"""A full training of one network, or its fine-tuning, that goes on after any kill."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from experiments.errors import RunFailedError, UserError, from_user
from experiments.options.plans import TrainPlan, normalisation
from experiments.pictures.run_folder import training_pictures
from experiments.plans.networks import fitted_arch, target_of
from experiments.records import TrainingRecord
from experiments.records.model import MadeBy
from experiments.records.training import Accuracies, ClassFigures, KeptWeights, TrainingData
from experiments.run.context import RunContext
from experiments.run.folder import package_versions
from experiments.run.models import model_record
from experiments.run.naming import is_reference, load_arch
from experiments.run.tensorboard import write_epoch
from experiments.run.weights.owned import from_weights_of
from experiments.wording import in_units
from nas.data.dataset import Dataset
from nas.data.feed import Feed, open_feed
from nas.failure_causes import out_of_memory
from nas.machine import free_cores
from nas.training.checkpoint import CheckpointError, Checkpoints, TrainingState, save_weights
from nas.training.fit import Validation, fit
from nas.training.loop import DivergedError, Training, place_network, prepare_network
from nas.training.numerics import repeatable
from nas.training.objective import INT8, InitialWeights, Objective, class_counts
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import RECIPES, Recipe
from search_spaces import ArchSpec, build_network
from search_spaces.network import Network, freeze_body
from search_spaces.weights import suited_arch
from search_spaces.weights_file import Origin, read_origin

NAME = "train"
WEIGHTS = "weights.safetensors"


def run_train(run: RunContext, text: str, plan: TrainPlan) -> TrainingRecord:
    """Train the architecture `text`; writes weights.safetensors and train.json, and returns the latter's content.

    A finished training is answered from its files. Raises UserError for what the user can mend, RunFailedError when
    the training diverges or memory runs out.
    """
    evaluator = run.problem.evaluator
    if not isinstance(evaluator, ProxyEvaluator):
        raise UserError("train runs the built-in training: leave out --evaluator")
    if evaluator.objective.metric == INT8:
        raise UserError(
            f"--metric {INT8.name}: train measures float32; `scalenas export` quantises what it has trained"
        )
    arch = trained_arch(run, text, plan)
    device = torch.device(run.slots[0].device)
    start = time.perf_counter()
    try:
        with _free_cores(run, device), repeatable(run.settings.general.seed, device, evaluator.numerics):
            ready = _prepare(run, evaluator, arch, plan, device, text=text)
            record = run.folder.find(TrainingRecord) or ready.run(run)
    except CheckpointError as error:
        raise UserError(str(error)) from error
    except DivergedError as error:
        raise RunFailedError(f"the training diverged: {error}; try another --seed or --recipe") from error
    except (MemoryError, RuntimeError) as error:
        line = out_of_memory(error)
        if line is None:
            raise
        raise RunFailedError(f"no memory left after {time.perf_counter() - start:.0f} s: {line}") from error
    training_pictures(run.folder.path, record)
    run.narrator.say(_line(record))
    run.results_written()
    return record


@contextlib.contextmanager
def _free_cores(run: RunContext, device: torch.device) -> Iterator[None]:
    """A training that begins on a CPU takes no more threads than cores are idle."""
    before = torch.get_num_threads()
    begun = run.folder.checkpoint.exists() or run.folder.find(TrainingRecord) is not None
    if device.type == "cpu" and before > 1 and not begun:
        free = free_cores()
        if free < before:
            run.narrator.say(f"other programs are busy: {free} of {before} CPU threads")
            torch.set_num_threads(free)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained_arch(run: RunContext, text: str, plan: TrainPlan) -> ArchSpec:
    """The architecture to train: a known network's name is fitted to the data as elsewhere, anything else as it is.

    With weights to start from a known network is taken as they have it, with their widths, strides and channels, at its
    own resolution or that of --resolution, since the weights would not fit otherwise.
    """
    if plan.weights is None or not is_reference(text):
        return fitted_arch(run, text, target_of(run), run.resolutions)
    with from_weights_of(text, plan.weights):
        arch = suited_arch(load_arch(text), plan.weights)
    return arch if run.settings.data.resolution == "auto" else replace(arch, resolution=run.resolution)


@dataclass(frozen=True)
class _FullTraining:
    """A training ready to run. arch: with the rates of dropout and stochastic depth of a full training."""

    plan: TrainPlan
    arch: ArchSpec
    dataset: Dataset
    training: Training
    objective: Objective
    val: Feed
    test: Feed | None

    def run(self, run: RunContext) -> TrainingRecord:
        """Train from the newest checkpoint, keep the weights asked for, and write the result."""
        checkpoints = Checkpoints(run.folder.checkpoint)
        run.narrator.say(self._plan(run))
        state = self._fit(run, checkpoints)
        training, last = self.training, len(state.curve)
        epoch = state.best if self.plan.keep == "best" else last
        if epoch != last:
            checkpoints.load_best(training, state)
        final = self.test or self.val
        predicted = training.predict(final)
        test = None if self.test is None else self.objective.metric.of(predicted, final.labels)
        accuracy = Accuracies(state.curve[epoch - 1], test)
        made_by = MadeBy(self.training.recipe.name, epoch, self.training.seed, package_versions())
        said = model_record(run, self.arch, self.dataset, self.objective.metric.name, accuracy, made_by=made_by)
        save_weights(training.result, run.folder.path / WEIGHTS, metadata=said.metadata)
        record = self._record(run, state, epoch, accuracy, self._by_class(predicted, final.labels))
        run.folder.write(record)
        checkpoints.remove()
        return record

    def _plan(self, run: RunContext) -> str:
        """What is about to be done, in a line."""
        device, epochs = self.val.device, self.training.epochs
        threads = torch.get_num_threads()
        where = str(device)
        if device.type == "cpu" and not run.folder.checkpoint.exists():  # else as many as it began with
            where = f"{threads} CPU thread" + "s" * (threads > 1)
        return (
            f"plan: {epochs} epoch{'s' * (epochs > 1)} of {len(self.training.train):,} images, "
            f"recipe {self.training.recipe.name}, on {where}; a network of {in_units(run.macs.of(self.arch))} MACs and "
            f"{in_units(run.params.of(self.arch))} parameters at {self.arch.resolution} pixels"
        )

    def _fit(self, run: RunContext, checkpoints: Checkpoints) -> TrainingState:
        epochs = self.training.epochs
        batch = self.training.recipe.batch_for(len(self.training.train))
        begun = [time.monotonic()]  # the epoch that is on its way
        with run.narrator.task("train", epochs) as task:

            def on_step(epoch: int, step: int, steps: int) -> None:
                if step == 1:  # before it come a checkpoint's writing and the first images
                    begun[0] = time.monotonic()
                    return
                rate = (step - 1) * batch / (time.monotonic() - begun[0])
                task.within(epoch - 1 + step / steps, f"epoch {epoch}, {step / steps:.0%}, {rate:.0f} images/s")

            def on_epoch(state: TrainingState) -> bool:
                epoch = len(state.curve)
                if epoch == state.restored:
                    torch.set_num_threads(state.threads)  # sums come out the same with the same threads
                    run.narrator.say(f"going on after epoch {epoch} of {epochs}")
                    return True
                task.reach(epoch, f"val {100 * state.curve[-1]:.1f} %")
                if run.board is not None:
                    write_epoch(run.board, state.curve[-1], epoch)
                return True

            self.training.on_step = on_step
            return fit(self.training, self.objective, Validation(self.val, self.val), checkpoints, on_epoch)

    def _by_class(self, predicted: Tensor, labels: Tensor) -> tuple[ClassFigures, ...]:
        names = self.dataset.classes
        rows = zip(names, *(each.tolist() for each in class_counts(predicted, labels, len(names))), strict=True)
        return tuple(
            ClassFigures(name, int(there), right / there if there else None, right / said if said else None)
            for name, right, there, said in rows
        )

    def _record(
        self,
        run: RunContext,
        state: TrainingState,
        epoch: int,
        accuracy: Accuracies,
        by_class: tuple[ClassFigures, ...],
    ) -> TrainingRecord:
        plan, recipe, data = self.plan, self.training.recipe, self.dataset
        macs, params = run.macs.of(self.arch), run.params.of(self.arch)
        return TrainingRecord(
            accuracy=accuracy,
            metric=self.objective.metric.name,
            loss=self.objective.loss.name,
            by_class=by_class,
            weights=KeptWeights(file=WEIGHTS, kept=plan.keep, epoch=epoch, averaged=recipe.average is not None),
            recipe=recipe.name,
            epochs=len(state.curve),
            seed=self.training.seed,
            started_from=plan.weights,
            body_rate=0.0 if plan.freeze_body else plan.rate_factor,
            data=TrainingData(data.name, data.fingerprint, data.counts),
            classes=data.classes,
            mean=data.mean,
            std=data.std,
            macs=macs,
            params=params,
            curve=state.curve,
            seconds=state.seconds,
            device=str(self.val.device),
            threads=state.threads,
            arch=self.arch,
        )


def _prepare(
    run: RunContext, evaluator: ProxyEvaluator, arch: ArchSpec, plan: TrainPlan, device: torch.device, *, text: str
) -> _FullTraining:
    """Build the network `arch`, which is that of `text`, load what it starts from, and open the images; then record in
    the run folder what is asked."""
    dataset, recipe = evaluator.dataset, RECIPES[plan.recipe]()
    epochs = plan.epochs or recipe.full_epochs
    if arch.resolution > dataset.native_size:
        run.narrator.say(
            f"warning: images of {dataset.native_size} pixels are enlarged to the network's {arch.resolution}; "
            "that costs time and shows it nothing more"
        )
    if dataset.size < min(arch.resolution, dataset.native_size):
        raise UserError(
            f"the network takes {arch.resolution} pixels, images were cached at {dataset.size} of "
            f"{dataset.native_size}: add --resolution {arch.resolution} and choose another --run"
        )
    dataset = _normalised(run, dataset, plan)
    with from_user():  # it may be too large
        network = prepare_network(build_network, arch, dataset.num_classes, recipe, epochs)
    assert isinstance(network, Network)
    initial = None if plan.weights is None else InitialWeights(plan.weights, plan.new_head)
    objective = replace(evaluator.objective, initial=initial)
    if initial is not None:
        with from_weights_of(text, str(initial.source)):
            classifier = "the file's" if initial.load_into(network) else "a new one"
        run.narrator.say(f"starting from {plan.weights}; classifier of {dataset.num_classes} classes: {classifier}")
    with from_user():
        feeds = {
            split: open_feed(
                dataset, split, device, share=1.0, resolution=arch.resolution, channels=arch.input_channels
            )
            for split, count in dataset.counts.items()
            if count
        }
    if plan.freeze_body:
        freeze_body(network)
    identity = _identity(arch, recipe, epochs, plan, objective)
    of_data = (dataset.mean, dataset.std) == (evaluator.dataset.mean, evaluator.dataset.std)
    given = f"mean {_numbers(dataset.mean)}, std {_numbers(dataset.std)}"
    identity["normalisation"] = "by the training images" if of_data else given
    run.claim(NAME, identity, {"training": dataclasses.asdict(plan)})
    place_network(network, device, plain=run.settings.training.plain)
    seed = run.settings.general.seed
    training = Training(
        network, recipe, feeds["train"], epochs, seed, dataset.flip, plan.rate_factor, numerics=evaluator.numerics
    )
    arch = replace(arch, norm_eps=network.arch.norm_eps)  # public weights bring their own
    return _FullTraining(plan, arch, dataset, training, objective, feeds["val"], feeds.get("test"))


def _normalised(run: RunContext, dataset: Dataset, plan: TrainPlan) -> Dataset:
    """The data set with the normalisation asked for, or else with that of the weights, where they say one."""
    with from_user():
        if plan.normalise is not None:
            asked = normalisation(plan.normalise)
        else:
            origin = Origin() if plan.weights is None else read_origin(plan.weights)
            asked = None if origin.mean is None or origin.std is None else (origin.mean, origin.std)
            if asked is not None:
                run.narrator.say(f"images are normalised as the weights say: {_numbers(asked[0])}/{_numbers(asked[1])}")
    if asked is None:
        return dataset
    if any(len(numbers) not in (1, dataset.channels) for numbers in asked):
        raise UserError(
            f"a normalisation for {max(map(len, asked))} channels, the images have {dataset.channels}: give --normalise"
        )
    mean, std = (numbers * (dataset.channels // len(numbers)) for numbers in asked)
    return replace(dataset, mean=mean, std=std)


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.4g}" for value in values)


def _identity(arch: ArchSpec, recipe: Recipe, epochs: int, plan: TrainPlan, objective: Objective) -> dict[str, Any]:
    """What may not change while a training goes on."""
    identity: dict[str, Any] = {
        "trained network": f"{arch.id} (dropout {arch.dropout:g}, stochastic depth {arch.drop_path:g})",
        "training recipe": recipe.name,
        "training epochs": epochs,
        "kept weights": plan.keep,
        "starting weights": None,
    }
    if objective.initial is not None:
        body = "frozen" if plan.freeze_body else f"at {plan.rate_factor:g} of the rate"
        head = "new classifier" if plan.new_head else "classifier kept where it fits"
        identity["starting weights"] = f"{objective.initial.digest}, body {body}, {head}"
    return identity


def _line(record: TrainingRecord) -> str:
    """The result for people."""
    accuracy, weights = record.accuracy, record.weights
    chosen = f"the last epoch, {record.epochs}"
    if weights is not None and weights.kept == "best":
        chosen = f"epoch {weights.epoch} of {record.epochs}, the best on val, whose figure is flattered by that"
    averaged = ", averaged over steps" if weights is not None and weights.averaged else ""
    test = "" if accuracy.test is None else f", test {100 * accuracy.test:.2f} %"
    reached = f"{record.measured}: val {100 * accuracy.val:.2f} %{test}"
    return f"{reached} (weights of {chosen}{averaged}; recipe {record.recipe})"
