"""What a trained network makes of images, as a table, as JSON, and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.errors import from_user
from experiments.pictures.confusion import confusion_figure
from experiments.pictures.save import save_figure
from experiments.tables.csv_rows import to_csv
from experiments.views.trained import Evaluation
from experiments.wording import metric_words
from nas.files import replace_text

_MISTAKES, _SHOWN_MISTAKES = 100, 5


def summary(found: Evaluation) -> str:
    """The figure in a sentence, beside what the training measured."""
    images = f"{len(found.labels):,} images of {', '.join(found.splits)}"
    before = "" if found.before is None else f"; the training measured {100 * found.before:.2f} %"
    other = "" if found.same_data else "; not the images that it was trained on"
    if found.same_data and "train" in found.splits:
        other = "; the network was trained on some of these: expect less on new images"
    return f"{metric_words(found.metric)} {100 * found.value:.2f} % on {images}{before}{other}"


def evaluation_table(found: Evaluation) -> Group:
    """For a terminal: the figure, each class, and the most confident mistakes."""
    table = Table(box=None, pad_edge=False)
    for name in ("class", "images", "recall", "precision", "most often taken for"):
        table.add_column(name, justify="left" if name in ("class", "most often taken for") else "right")
    for row in class_rows(found):
        shares = (f"{100 * row[name]:.1f} %" if row[name] is not None else "" for name in ("recall", "precision"))
        taken = f"{row['taken_for']} ({row['times']})" if row["times"] else ""
        table.add_row(Text(row["class"]), str(row["images"]), *shares, Text(taken))
    wrong = [
        Text(f"{name or 'an image'}: {label}, taken for {taken} ({100 * sure:.0f} %)")
        for name, label, taken, sure in found.mistakes(_SHOWN_MISTAKES)
    ]
    lines = [Text("wrong with most confidence:"), *wrong] if wrong else []
    return Group(Text(summary(found)), table, *lines)


def class_rows(found: Evaluation) -> list[dict[str, Any]]:
    """A row for each class that there are images of, or that images are taken for; taken_for: the wrong class that
    most of its images get, and how many times."""
    confusion, names = found.confusion, found.model.record.classes
    rows = []
    for i, figures in enumerate(found.by_class):
        if not figures.images and not confusion[:, i].any():
            continue
        others = confusion[i].copy()
        others[i] = 0
        rows.append({
            "class": figures.name, "images": figures.images, "recall": figures.recall, "precision": figures.precision,
            "taken_for": names[int(others.argmax())] if others.any() else "", "times": int(others.max()),
        })  # fmt: skip
    return rows


def evaluation_facts(found: Evaluation) -> dict[str, Any]:
    """For programs."""
    return {
        "metric": found.metric,
        "value": found.value,
        "measured_in_training": found.before,
        "splits": list(found.splits),
        "images": len(found.labels),
        "same_data": found.same_data,
        "classes": class_rows(found),
        "confusion": found.confusion.tolist(),
        "mistakes": [_mistake(*each) for each in found.mistakes(_MISTAKES)],
    }


def write_evaluation(found: Evaluation, folder: Path) -> list[Path]:
    """Write the tables and the picture into a folder; gives their paths. Raises UserError."""
    names = found.model.record.classes
    confusion = pd.DataFrame(found.confusion, index=pd.Index(names, name="class"), columns=list(names)).reset_index()
    mistakes = pd.DataFrame(
        [_mistake(*each) for each in found.mistakes(_MISTAKES)], columns=["image", "class", "taken_for", "probability"]
    )
    sure, predicted = found.probabilities.max(1)
    everything = pd.DataFrame({
        "image": found.names,
        "class": [names[i] for i in found.labels.tolist()],
        "predicted": [names[i] for i in predicted.tolist()],
        "probability": [round(each, 6) for each in sure.tolist()],
    })  # fmt: skip
    tables = {
        "classes.csv": pd.DataFrame(class_rows(found)), "confusion.csv": confusion, "mistakes.csv": mistakes,
        "images.csv": everything,
    }  # fmt: skip
    with from_user():
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            replace_text(folder / name, to_csv(table), durable=False)
        save_figure(
            confusion_figure(found.confusion, names, title=summary(found).replace("; ", "\n")), folder / "confusion.png"
        )
    return [*(folder / name for name in tables), folder / "confusion.png"]


def _mistake(image: str, label: str, taken_for: str, probability: float) -> dict[str, Any]:
    return {"image": image, "class": label, "taken_for": taken_for, "probability": round(probability, 6)}
