"""The images of a run, as one file that is easy to carry to a machine without a network.

    python -m benchmarks.gpu.images DATA -o FILE [--size 16] [--images 60000]

packs an image folder: uint8 images and labels as a compressed .npz; CIFAR-10 at 16 pixels is about 40 MB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nas.data.augment import resize
from nas.data.dataset import load_split
from nas.data.source import open_dataset

SPLITS = ("train", "val", "test")


def unpack(file: Path, folder: Path) -> Path:
    """The images of a packed file as an image folder; returns the folder."""
    with np.load(file, allow_pickle=False) as packed:
        for split in SPLITS:
            for i, (pixels, label) in enumerate(zip(packed[f"{split}_images"], packed[f"{split}_labels"], strict=True)):
                place = folder / split / f"class{label}"
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.squeeze()).save(place / f"{i}.png")
    return folder


def pack(data: str, file: Path, cache: Path, size: int, images: int) -> None:
    """Write the file, at most `images` of each split."""
    dataset = open_dataset(data, cache, max_resolution=size)
    arrays: dict[str, np.ndarray] = {}
    for split in SPLITS:
        part = load_split(dataset, split)
        pixels = torch.from_numpy(np.asarray(part.images[part.rows[:images]]))
        arrays |= {f"{split}_images": resize(pixels, size).numpy(), f"{split}_labels": part.labels[:images]}
    np.savez_compressed(file, allow_pickle=False, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder for decoded images")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--images", type=int, default=60_000)
    asked = parser.parse_args()
    pack(asked.data, asked.output, asked.cache, asked.size, asked.images)
    print(f"{asked.output}: {asked.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
