"""What a training asks of its device, seen on torch's meta device, which computes nothing and so stands for any GPU:
within a step no operand lies elsewhere, and the host never waits for a value."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.data.feed import Feed
from nas.training.loop import Training, place_network, prepare_network
from nas.training.objective import FROM_SCRATCH, Objective, class_weighted
from nas.training.recipe import RECIPES
from search_spaces import build_network, reference_arch
from search_spaces.fit import fit_arch

META, CPU = torch.device("meta"), torch.device("cpu")
WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.bincount", "aten.equal", "aten.masked_select", "aten.unique")
"""Operations whose result, or its size, the host has to wait for."""


class Watch(TorchDispatchMode):
    """Counts operations on the device, copies to it, and what must not be: mixed operands, and waiting for values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operands = {each.device.type for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        result = func(*args, **(kwargs or {}))
        results = {each.device.type for each in tree_leaves(result) if isinstance(each, Tensor)}
        name = str(func)
        if "copy" in name and operands | results == {"cpu", "meta"}:
            self.seen["copies to the device" if "meta" in results else "copies back"] += 1
        elif {"cpu", "meta"} <= operands:
            self.wrong.append(f"{name} has operands on the CPU beside those on the device")
        if name.startswith(WAITS) and "meta" in operands:
            self.wrong.append(f"{name} waits for the device")
        if "meta" in operands | results:
            self.seen["operations"] += 1
        return result


def a_feed(images: torch.device, count: int = 64, size: int = 32) -> Feed:
    """Of images on a device, or of a mapped file on the CPU for a training on the device."""
    return Feed(
        torch.zeros((count, size, size, 3), dtype=torch.uint8, device=images), torch.arange(count, device=images),
        torch.zeros(count, dtype=torch.long, device=META), torch.zeros(3, device=META), torch.ones(3, device=META),
        size, 3,
    )  # fmt: skip


def a_training(recipe: str, feed: Feed) -> Training:
    made = RECIPES[recipe]()
    arch = fit_arch(reference_arch("efficientnet_b0"), 32, 2e6, num_classes=10)
    network = place_network(prepare_network(build_network, arch, 10, made, 4), feed.device)
    return Training(network, made, feed, 4, seed=0, flip=True)


def steps(training: Training, size: int = 16, objective: Objective = FROM_SCRATCH) -> Iterator[Watch]:
    """The watch over each step of an epoch but the first, with which the epoch's draws are brought to the device."""
    training.network.train()
    batches = training.batches(1, size)
    training.step(*next(batches), objective)
    while True:
        with Watch() as watch:
            try:
                images, labels = next(batches)
            except StopIteration:
                return
            training.step(images, labels, objective)
            if training.average is not None:
                training.average.update(training.network)
        yield watch


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("images", "copies"), [(META, 0), (CPU, 1)])
def test_a_step_never_waits_for_its_device_nor_computes_with_what_lies_elsewhere(
    recipe: str, images: torch.device, copies: int
) -> None:
    watched = list(steps(a_training(recipe, a_feed(images))))
    assert len(watched) == 3
    for watch in watched:
        assert watch.wrong == []
        assert watch.seen["copies to the device"] == copies
        assert watch.seen["copies back"] == 0


def test_a_step_of_the_default_recipe_has_few_operations() -> None:
    """A small network takes as long on a GPU as its operations are many, whatever they compute."""
    made = RECIPES["fast"]()
    arch = fit_arch(reference_arch("efficientnet_b0"), 32, 20e6, num_classes=10)
    network = place_network(prepare_network(build_network, arch, 10, made, 4), META)
    training = Training(network, made, a_feed(META), 4, seed=0, flip=True)
    assert max(watch.seen["operations"] for watch in steps(training)) <= 1050
    with Watch() as watch:
        training.optimizer.step()
    assert watch.seen["operations"] <= 150


def test_averaging_the_weights_takes_as_many_operations_for_any_network() -> None:
    training = a_training("paper", a_feed(META))
    assert training.average is not None
    with Watch() as watch:
        training.average.update(training.network)
    assert watch.seen["operations"] <= 2


def test_a_step_with_weighted_classes_copies_nothing_to_the_device() -> None:
    objective = Objective(loss=class_weighted([5, 7, 9, 4, 5, 6, 7, 8, 9, 3]))
    training = a_training("fast", a_feed(META))
    assert [watch.wrong for watch in steps(training, objective=objective)] == [[]] * 3
    assert {watch.seen["copies to the device"] for watch in steps(training, objective=objective)} == {0}


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors made under it that were there at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and made.device == META:
                storage = made.untyped_storage()
                if storage._cdata not in self.known:
                    self.known.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("efficientnet_b0", 224), ("efficientnet_b0", 32), ("plain_resnet", 32), ("mobilenet_v2", 64), ("resnet18", 96)],
)
def test_evaluation_needs_no_more_memory_than_a_step(name: str, pixels: int) -> None:
    recipe = RECIPES["fast"]()
    network = place_network(build_network(replace(reference_arch(name), resolution=pixels), 10), META)
    training = Training(network, recipe, a_feed(META, 5000, pixels), 4, seed=0, flip=True)
    training.optimizer.zero_grad()
    images, labels = next(training.batches(1, training.batch))
    with LiveBytes() as step:
        training.step(images, labels)
    network.eval()
    images = next(training.train.in_order(training.eval_batch))[0]
    with torch.inference_mode(), LiveBytes() as evaluation:
        network(images)
    assert training.eval_batch > training.batch
    assert evaluation.most + images.nbytes <= step.most


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_state_that_is_loaded_goes_to_the_device(recipe: str) -> None:
    """Checkpoints are read on the CPU."""
    before = Training(
        prepare_network(build_network, fit_arch(reference_arch("efficientnet_b0"), 32, 2e6, num_classes=10), 10,
                        RECIPES[recipe](), 4),
        RECIPES[recipe](), a_feed(META), 4, seed=0, flip=True,
    )  # fmt: skip
    for parameter in before.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before.optimizer.step()
    after = a_training(recipe, a_feed(META))
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    kept = [value for state in after.optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    assert kept
    assert {value.device for value in kept} == {META}
    assert [watch.wrong for watch in steps(after)] == [[]] * 3
