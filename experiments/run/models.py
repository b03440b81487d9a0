"""The trained networks of a run: what each says of itself, and the best seed's weights of every network compared."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.errors import UserError, from_user
from experiments.records import BaselineRecord
from experiments.records.model import ImageFormat, MadeBy, ModelRecord, OpenedData, read_model
from experiments.records.training import Accuracies
from experiments.run.context import RunContext
from experiments.run.folder import RunFolder, package_versions
from experiments.tables.frontier import read_points
from experiments.tables.standing import standing
from nas.data.dataset import Dataset
from nas.evaluation import Outcome, Request
from nas.training.checkpoint import save_tensors
from nas.training.loop import place_network
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, build_network, load_weights
from search_spaces.network import Network
from search_spaces.weights_file import read_weights

_NAME = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its trained weights, in evaluation mode on the CPU, and what its file says of it."""

    record: ModelRecord
    network: Network
    file: Path


def model_record(
    run: RunContext, arch: ArchSpec, dataset: Dataset, metric: str, accuracy: Accuracies, *, made_by: MadeBy
) -> ModelRecord:
    """What the weights of a network of this run say of themselves; dataset: with the normalisation used."""
    general, asked = run.settings.general, run.settings.data
    return ModelRecord(
        arch=arch,
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        padding=arch.padding,
        norm_eps=arch.norm_eps,
        images=ImageFormat(dataset.size, dataset.channels, dataset.crop, dataset.levels.to_json()),
        data=OpenedData(dataset.name, dataset.fingerprint, general.seed, asked.train_images, asked.group),
        metric=metric,
        accuracy=accuracy,
        made_by=made_by,
    )


def model_file(text: str) -> Path:
    """The trained network of a run folder: that of a full training, or the baseline as the frontier has it; a file as
    it is. Raises UserError where there is none."""
    path = Path(text)
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: no such file or folder")
        return path
    folder = RunFolder(path)
    if (path / ModelRecord.FILE).is_file():
        return path / ModelRecord.FILE
    if (file := baseline_model(folder)) is not None:
        return file
    others = sorted(folder.models.glob("*.safetensors")) if folder.models.is_dir() else []
    if others:
        raise UserError(f"{path}: has trained networks, but no baseline: give one of them, such as {others[0]}")
    raise UserError(f"{path}: no trained network in it; `scalenas train`, `run` and `compare` make some")


def load_trained(text: str, *, plain: bool = False) -> Trained:
    """The network of a run folder (that of a full training, or the baseline), or of a .safetensors file that says what
    it is; `plain`: as PyTorch alone computes it. Raises UserError."""
    file = model_file(text)
    record = read_model(file)
    with from_user():
        network = build_network(record.arch, len(record.classes))
        load_weights(network, file)
    place_network(network, torch.device("cpu"), plain=plain)
    return Trained(record, network.eval(), file)


def other_advice(text: str) -> str | None:
    """Where `text` is a run folder whose frontier advises another network than its baseline: a line that says so."""
    table = Path(text) / "frontier.csv"
    if (Path(text) / ModelRecord.FILE).is_file() or not table.is_file():
        return None
    placed = None
    with suppress(UserError):  # whoever asks for the baseline gets it, whatever the table is
        placed = standing(read_points(table))
    if placed is None or placed.advised is placed.own:
        return None
    file = RunFolder(Path(text)).models / f"{model_name(placed.advised.label)}.safetensors"
    where = f": give {file} for that" if file.is_file() else ""
    return f"{text}: this is the run's baseline; its report advises {placed.advised.label}{where}"


def model_name(label: str) -> str:
    """A network's label as the name of its file in models/."""
    return _NAME.sub("_", label)


def baseline_model(folder: RunFolder) -> Path | None:
    """The trained network of a run's baseline; None where the frontier has not trained it. Raises UserError where a
    file is damaged."""
    baseline, file = folder.find(BaselineRecord), folder.models / "baseline.safetensors"
    fits = baseline is not None and file.is_file() and read_model(file).arch.id == baseline.id
    return file if fits else None


def keep_models(run: RunContext, trained: Mapping[str, Sequence[tuple[Request, Outcome]]]) -> None:
    """Write models/NAME.safetensors for each network of `trained`, by its name: the seed that is best on val.

    Says which networks have none, as those that were trained before weights were kept.
    """
    evaluator = run.problem.evaluator
    if not isinstance(evaluator, ProxyEvaluator) or evaluator.keep is None:
        return
    without = []
    for name, tries in trained.items():
        request, outcome = max(tries, key=lambda each: _accuracy(each[1]).val)
        file, weights = _file(run.folder, name, request.arch), evaluator.keep.file(request)
        if weights is not None and weights.is_file():
            accuracy, metric = _accuracy(outcome), evaluator.objective.metric.name
            trainer = evaluator.of_method(request.method)  # whose method leaves out int8 that is measured beside it
            recipe = run.problem.recipe_of(trainer.method)
            made_by = MadeBy(recipe, request.fidelity.epochs, request.seed, package_versions())
            record = model_record(run, request.arch, trainer.dataset, metric, accuracy, made_by=made_by)
            with from_user():
                save_tensors(read_weights(weights), file, durable=True, metadata=record.metadata)
        elif not _is_of(file, request.arch):
            without.append(name)
    if without:
        run.narrator.say(f"no trained weights of {', '.join(without)}: trained before weights were kept, or elsewhere")


def drop_seeds(run: RunContext) -> None:
    """Remove the weights of single seeds, once the best of each network is a model."""
    shutil.rmtree(run.folder.weights, ignore_errors=True)


def _file(folder: RunFolder, name: str, arch: ArchSpec) -> Path:
    """Where the model of a network goes: under its name, and where another network has a name that is written alike,
    with its id."""
    written = model_name(name)
    file = folder.models / f"{written}.safetensors"
    if written != name and file.exists() and not _is_of(file, arch):
        return folder.models / f"{written}_{arch.id[:8]}.safetensors"
    return file


def _accuracy(outcome: Outcome) -> Accuracies:
    """Of a training that succeeded and was measured on test."""
    return Accuracies(outcome.metrics.get(f"val_{outcome.metric}", 0.0), outcome.value)


def _is_of(file: Path, arch: ArchSpec) -> bool:
    """Whether a model is there already, of this network."""
    try:
        return file.is_file() and read_model(file).arch.id == arch.id
    except UserError:
        return False
