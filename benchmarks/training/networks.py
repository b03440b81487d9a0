"""The network that a benchmark of trainings is about, as its command line gives it."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.run.naming import load_arch
from experiments.run.weights.pretrained import open_pretrained
from nas.data.source import open_dataset
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import ArchSpec


def network_arguments(parser: argparse.ArgumentParser) -> None:
    """DATA, ARCH, and the options of `open_network`, of lengths and of seeds."""
    parser.add_argument("data")
    parser.add_argument("arch")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)


def open_network(options: argparse.Namespace, pixels: int = 0) -> tuple[ArchSpec, ProxyEvaluator]:
    """The network and what trains it: from nothing by the recipe `fast`, or from `--weights` by `fine_tune`. The images
    are cached with the network's pixels, or with so many where those are more."""
    arch = load_arch(options.arch)
    most = max(arch.resolution, pixels)
    dataset = open_dataset(options.data, options.cache, max_resolution=most, train_images=options.images)
    evaluator = ProxyEvaluator(dataset, fast())
    if options.weights is None:
        return arch, evaluator
    (found,) = open_pretrained([f"{options.arch}={options.weights}"], evaluator)
    return found.arch, found.evaluator
