"""What a trained network loses where images are resized without rounding them to whole levels.

    python -m benchmarks.rounding DATA MODEL [MODEL ...] --cache DIR [--images 600]

A training's images are of whole levels (0 to 255), after resizing, too. A program that resizes in floating point and
does not round gives a network something else. Printed: the share of so many test images that each network has right
both ways.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.machine import machine
from experiments.run.models import Trained, load_trained
from nas.data.augment import normalise, resize, to_grey
from nas.data.dataset import load_split
from nas.data.source import open_dataset

LUMA = (0.299, 0.587, 0.114)
BATCH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int, default=600)
    options = parser.parse_args()
    print(f"command: python -m benchmarks.rounding {options.data} {' '.join(options.models)}; {machine()}")
    models = [load_trained(model, plain=True) for model in options.models]
    dataset = open_dataset(options.data, options.cache, max_resolution=max(each.record.images.size for each in models))
    part = load_split(dataset, "test")
    drawn = torch.randperm(len(part.rows), generator=torch.Generator().manual_seed(0))[: options.images].numpy()
    images, labels = torch.from_numpy(part.images[part.rows[drawn]]), torch.from_numpy(part.labels[drawn])
    for model in models:
        rounded, floating = (_right(model, images, labels, whole=whole) for whole in (True, False))
        print(
            f"{model.file}: {model.record.arch.resolution} pixels of {dataset.size}, rounded {100 * rounded:.1f} %, "
            f"not rounded {100 * floating:.1f} % of {len(labels)} images"
        )


@torch.inference_mode()
def _right(model: Trained, images: Tensor, labels: Tensor, *, whole: bool) -> float:
    mean, std = (255 * torch.tensor(values) for values in (model.record.mean, model.record.std))
    size, right = model.record.arch.resolution, 0
    for start in range(0, len(labels), BATCH):
        part = images[start : start + BATCH]
        if whole:
            sized = resize(part, size)
            batch = normalise(to_grey(sized) if len(mean) == 1 < sized.shape[-1] else sized, mean, std)
        else:
            planes = part.permute(0, 3, 1, 2).float()
            if len(mean) == 1 < planes.shape[1]:
                planes = (planes * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
            planes = functional.interpolate(planes, (size, size), mode="bilinear", antialias=True)
            batch = (planes - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
        right += int((model.network(batch).argmax(1) == labels[start : start + BATCH]).sum())
    return right / len(labels)


if __name__ == "__main__":
    main()
