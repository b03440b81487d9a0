"""What trials are of: images to train on, or a published table to look up."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.errors import UserError, from_users_code, needing_packages
from experiments.options.flags import with_flags
from experiments.options.settings import Settings
from experiments.records import DataFacts
from experiments.run.folder import RunFolder
from experiments.run.naming import Resolutions, largest_resolution, load_object, resolve_resolution
from experiments.run.weights.pretrained import Pretrained, inheriting, open_pretrained, with_weights
from nas.benchmark_table import TableEvaluator, load_table
from nas.data.dataset import Dataset, load_split
from nas.data.source import open_dataset
from nas.evaluation import ACCURACY, Evaluator
from nas.training.int8 import check_packages
from nas.training.objective import METRICS, Objective, class_weighted
from nas.training.proxy import Keep, ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import SearchSpace, StagedSpace
from search_spaces.memory.precision import FLOAT32, INT8


@dataclass(frozen=True)
class Problem:
    """What is measured, and what networks for it look like.

    fingerprint: changes with the content. resolutions: of networks; native_size: the images' own;
    cached_size: that at which they are kept.
    final_split: where the frontier is measured; val_images: how many the search measures on (None: no noise of
    counting). trains: the recipe's name, and what is special of the images, in words. method: how the evaluator gets
    its values (see Request), from_scratch: those of networks that begin without weights; metric: what they are. space:
    given by the problem itself, or None where the user chooses. noisy: whether another seed gives another accuracy.
    precision: in which networks are to run in the end, and their bytes are counted. facts: for run.json; summary: for
    people, the data first, then a line for whatever is to be known of them. parent: the network as parts of which the
    run's own begin; pretrained: those that are fine-tuned beside them.
    """

    name: str
    fingerprint: str
    num_classes: int
    channels: int
    resolutions: Resolutions
    native_size: int
    cached_size: int
    final_split: str
    val_images: int | None
    trains: tuple[str, str]
    evaluator: Evaluator
    summary: tuple[str, ...]
    facts: DataFacts
    method: str = ""
    metric: str = ACCURACY
    space: SearchSpace | None = None
    noisy: bool = True
    precision: str = FLOAT32
    from_scratch: str = ""
    parent: Pretrained | None = None
    pretrained: tuple[Pretrained, ...] = ()

    @property
    def recipe(self) -> str:
        """How the run's networks are trained, the method included."""
        return self.recipe_of(self.method)

    def recipe_named(self, method: str | None) -> str:
        """The name of the recipe that a method trains by; None: the run's own."""
        named = re.search(r"(?:^|,)recipe=(\w+)", self.method if method is None else method)
        return self.trains[0] if named is None else named[1]

    def recipe_of(self, method: str) -> str:
        """How networks are trained by a method, in words."""
        recipe, images = self.trains
        return ", ".join(filter(None, (recipe, method, images)))


def open_images(
    data: str,
    folder: RunFolder,
    settings: Settings,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> Problem:
    """An image folder or the built-in digits, decoded into the cache. Raises ValueError for data that cannot be used.

    The cache holds the largest image that a trial of the run can need: that of the family's last trained member, or of
    a point that puts a whole doubling into resolution.
    """
    asked = settings.data
    if wants_int8(settings):
        with needing_packages():
            check_packages()
    remarks: list[str] = []
    base = largest_resolution(asked.resolution)
    dataset = open_dataset(
        data,
        Path(asked.cache) if asked.cache else folder.cache,
        max_resolution=math.ceil(base * 2 ** (max(1, settings.final.family_phi) / 2)),
        seed=settings.general.seed,
        train_images=asked.train_images,
        group=asked.group,
        crop=asked.crop,
        grey=asked.grey,
        flip=not asked.no_flip,
        max_bad_share=asked.max_unreadable,
        progress=progress,
        tell=remarks.append,
    )
    final_split = "test" if dataset.counts.get("test") else "val"
    keep = None
    if final_split == "test":  # nothing but the frontier's trainings is measured on that
        keep = Keep(folder.weights, final_split)
    evaluator = _evaluator(settings, dataset, folder.checkpoints, keep)
    pretrained: tuple[Pretrained, ...] = ()
    parent, method, scratch, metric = None, "", "", ACCURACY
    if isinstance(evaluator, ProxyEvaluator):

        def weights(option: str, text: str) -> str:
            return with_weights(option, text, folder.pretrained, say)

        scratch, metric = evaluator.method, evaluator.objective.metric.name
        given = [weights("--pretrained", text) for text in settings.final.pretrained]
        pretrained = open_pretrained(given, evaluator)
        others = [training for each in pretrained for training in (each.evaluator, each.from_scratch)]
        if settings.training.inherit is not None:
            parent = inheriting(weights("--inherit", settings.training.inherit), evaluator)
            evaluator, others = parent.evaluator, [evaluator, parent.from_scratch, parent.fine_tuned, *others]
        method = evaluator.method
        evaluator = replace(evaluator, beside=tuple(others))
    counts = ", ".join(f"{n} {split}" for split, n in dataset.counts.items() if n)
    return Problem(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        channels=dataset.channels,
        resolutions=resolve_resolution(asked.resolution, dataset.native_size),
        native_size=dataset.native_size,
        cached_size=dataset.size,
        final_split=final_split,
        val_images=dataset.counts["val"],
        trains=(settings.training.evaluator or fast().name, "no flip" if asked.no_flip else ""),
        evaluator=evaluator,
        summary=(
            f"{dataset.num_classes} classes, {counts} images of {dataset.native_size} pixels"
            + ", never mirrored" * asked.no_flip,
            *map(with_flags, remarks),
        ),
        facts=_describe(dataset),
        method=method,
        from_scratch=scratch,
        metric=metric,
        parent=parent,
        pretrained=pretrained,
        precision=INT8 if wants_int8(settings) else FLOAT32,
    )


def wants_int8(settings: Settings) -> bool:
    """Whether networks are to run in int8 in the end."""
    return settings.training.int8 or settings.training.metric == INT8


def open_table(path: str) -> Problem:
    """A published table of trained networks, answered through a fit. Raises ValueError when it cannot be read."""
    table = load_table(path)
    if not isinstance(table.space, StagedSpace):
        raise UserError(f"{path}: the columns left of the accuracy do not describe a network")
    base = table.space.base
    return Problem(
        name=Path(path).name,
        fingerprint=hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16],
        num_classes=1000,
        channels=base.input_channels,
        resolutions=Resolutions(base.resolution, (base.resolution,)),
        native_size=base.resolution,
        cached_size=base.resolution,
        final_split="val",
        val_images=None,
        trains=("published table", ""),
        evaluator=TableEvaluator(table),
        summary=(f"a table of {len(table.frame)} networks, answered through a fit",),
        facts=DataFacts(name=Path(path).name, rows=len(table.frame)),
        space=table.space,
        noisy=False,
    )


def _evaluator(settings: Settings, dataset: Dataset, checkpoints: Path, keep: Keep | None) -> Evaluator:
    text = settings.training.evaluator
    if text is None:
        asked = settings.training
        objective = Objective(metric=METRICS[asked.metric])
        if asked.class_weights:
            labels = load_split(dataset, "train").labels
            images = np.bincount(labels, minlength=dataset.num_classes).tolist()
            objective = replace(objective, loss=class_weighted(images))
        return ProxyEvaluator(
            dataset,
            fast(),
            plain=asked.plain,
            numerics=asked.numerics,
            checkpoints=checkpoints,
            objective=objective,
            keep=keep,
        )
    make = load_object(text, "--evaluator", "left out")
    with from_users_code(f"--evaluator {text}"):
        evaluator = make(dataset)
    if not callable(getattr(evaluator, "evaluate", None)):
        raise UserError(f"--evaluator {text}: the function must return an object with a method evaluate")
    found: Evaluator = evaluator
    return found


def _describe(dataset: Dataset) -> DataFacts:
    return DataFacts(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        images=dataset.counts,
        native_size=dataset.native_size,
        cached_size=dataset.size,
    )
