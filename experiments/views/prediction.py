"""The classes of images of one's own, by a trained network, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError
from experiments.run.models import Trained
from experiments.tables.csv_rows import to_csv
from experiments.views.trained import predict
from nas.data.decode import suffixes
from nas.data.summary import shown


@dataclass(frozen=True)
class Guess:
    """A class and its probability in 0..1."""

    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image file, the likeliest first."""

    image: str
    classes: tuple[Guess, ...]

    def __str__(self) -> str:
        classes = ", ".join(f"{each.name} {100 * each.probability:.1f} %" for each in self.classes)
        return f"{shown(self.image)}: {classes}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def image_files(given: Sequence[str]) -> list[str]:
    """The files, and of folders the images in them at any depth, by name, but for hidden ones. Raises UserError where a
    folder has none."""
    found = []
    for each in given:
        folder = Path(each)
        if not folder.is_dir():
            found.append(each)
            continue
        inside = sorted(
            str(file) for file in folder.rglob("*")
            if file.suffix.lower() in suffixes() and not file.name.startswith(".") and file.is_file()
        )  # fmt: skip
        if not inside:
            raise UserError(f"{shown(each)}: no images in this folder")
        found += inside
    return found


def predictions(model: Trained, images: Sequence[str], top: int) -> list[Prediction]:
    """The `top` likeliest classes of each file, or all where there are fewer. Raises UserError."""
    found, names = predict(model, images), model.record.classes
    best = found.topk(min(top, len(names)), dim=1)
    return [
        Prediction(image, tuple(Guess(names[i], p) for i, p in zip(places, shares, strict=True)))
        for image, places, shares in zip(images, best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def predictions_csv(found: Sequence[Prediction]) -> str:
    """A row for each image and class."""
    rows = [
        {"image": each.image, "rank": rank, "class": guess.name, "probability": round(guess.probability, 6)}
        for each in found
        for rank, guess in enumerate(each.classes, 1)
    ]
    return to_csv(pd.DataFrame(rows))
