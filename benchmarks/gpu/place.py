"""What every stage is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.noise import write_noise
from nas.data.dataset import Dataset
from nas.data.feed import RESIDENT_BYTES, Feed, forget, open_feed
from nas.data.source import open_dataset
from nas.training.loop import Training, place_network, prepare_network
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, fit_arch, reference_arch

CLASSES = 10


class SkippedError(Exception):
    """The stage cannot run here; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a stage runs, and for how long. device: torch's name; seconds: what the stage should take; scratch: a
    folder of its own; data: a packed file of images (see images.py), or None for the built-in digits. rehearse: on a
    CPU, with sizes that take seconds.
    """

    device: str
    seconds: float
    scratch: Path
    data: Path | None = None
    rehearse: bool = False

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    def needs_gpu(self, what: str) -> None:
        """Raises SkippedError on a CPU."""
        if self.torch_device.type != "cuda":
            raise SkippedError(f"{what} needs a GPU")

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked."""
        if self.torch_device.type == "cuda":
            torch.cuda.synchronize(self.torch_device)

    @property
    def size(self) -> int:
        """Pixels of images and networks."""
        return 8 if self.rehearse else 32

    @cached_property
    def arch(self) -> ArchSpec:
        """EfficientNet-B0 fitted to 20 M multiply-adds; rehearsed, two small blocks."""
        if self.rehearse:
            stage = StageSpec(expand=3, channels=8, layers=2, se=0.25)
            return ArchSpec((stage,), StemSpec(8), HeadSpec(16), resolution=self.size)
        return fit_arch(reference_arch("efficientnet_b0"), self.size, 20e6, num_classes=CLASSES)

    @cached_property
    def dataset(self) -> Dataset:
        """Noise, which costs what photographs cost."""
        folder = self.scratch / "noise"
        if not folder.exists():
            write_noise(folder, self.size, 16 if self.rehearse else 500)
        return open_dataset(str(folder), self.scratch / "cache", max_resolution=self.size)

    def feed(self, device: torch.device, split: str = "train") -> Feed:
        """Of the noise."""
        return open_feed(self.dataset, split, device, share=1.0, resolution=self.size, channels=3)

    @contextmanager
    def streamed(self) -> Iterator[None]:
        """Feeds opened inside read the cache's file batch by batch, as those of large data sets do."""
        before = dict(RESIDENT_BYTES)
        forget(self.torch_device)
        RESIDENT_BYTES.update(dict.fromkeys(before, 0))
        try:
            yield
        finally:
            RESIDENT_BYTES.update(before)

    def training(self, recipe: Recipe, device: torch.device | None = None, **options: Any) -> Training:
        """A fresh training on the noise, of weights that torch's global numbers give. options: plain (see
        place_network), regularised (False: no dropout, no stochastic depth), and fields of Training."""
        device = device or self.torch_device
        plain, regularised = options.pop("plain", False), options.pop("regularised", True)
        arch = self.arch if regularised else replace(self.arch, dropout=0.0, drop_path=0.0)
        network: nn.Module = prepare_network(build_network, arch, CLASSES, recipe, 4)
        network = place_network(network, device, plain=plain)
        return Training(network, recipe, self.feed(device), 4, seed=0, flip=True, **options)


@dataclass
class Findings:
    """What a stage found. lines: for people; figures: for programs; wrong: lines on what must not be."""

    lines: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
