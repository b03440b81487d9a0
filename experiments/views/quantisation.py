"""A trained network as a file in int8, and what that makes of real images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.errors import UserError, from_user
from experiments.export import Exported
from experiments.run.models import Trained
from experiments.views.trained import held_out, labels_for, opened_for
from nas.data.feed import open_feed
from nas.files import replace_text, replacing
from nas.training.int8 import Quantised, quantise
from nas.training.objective import accuracy
from search_spaces import build_network, count_flash, count_ram, load_weights

_CPU = torch.device("cpu")


def write_int8(
    model: Trained, data: str, path: Path, *, progress: Callable[[int, int], None], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Quantise a network, calibrated on training images of `data`, to an ONNX file (QDQ) of batch one, and run it on
    the images that it was not trained on (of others on those of val). The file has the facts of every export in its
    metadata and beside it, with both accuracies as `quantised`; it is read back before it is put in place.

    Gives what is worth telling: file, files (that beside it too), bytes of the first, RAM and flash as counted, split,
    images, accuracy in float32 and in int8. Raises UserError, and AssertionError when what was written does not read
    back as the same network.
    """
    record, arch = model.record, model.record.arch
    with opened_for(record, data, None, progress, tell) as dataset, from_user():
        feeds = {
            split: open_feed(dataset, split, _CPU, share=1.0, resolution=arch.resolution, channels=arch.input_channels)
            for split in ("train", held_out(dataset))
            if dataset.counts[split]
        }
        if len(feeds) < 2:
            raise UserError(f"{data}: int8 takes training images to be calibrated on, and others to be measured on")
        calibration, measured = feeds.values()
        labels = labels_for(record, dataset)[measured.labels]
        exported = _exported(model)
        made = quantise(exported.network, calibration)
        with torch.inference_mode():
            plain = torch.cat([exported.network(images).argmax(1) for images, _ in measured.in_order(64)])
        found = {
            "split": held_out(dataset),
            "images": len(labels),
            "same_data": dataset.fingerprint == record.data.fingerprint,
            "accuracy": accuracy(plain, labels),
            "int8": accuracy(made.predict(measured), labels),
        }
        facts = exported.facts | {"quantised": {"data": dataset.name, **found}}
        beside = path.with_name(f"{path.name}.model.json")
        with replacing(path, durable=False) as draft:
            draft.write_bytes(made.saying({name: json.dumps(value) for name, value in facts.items()}).model)
            some = measured.sample(min(64, len(measured)))
            if not torch.equal(Quantised(draft.read_bytes()).predict(some), made.predict(some)):
                raise AssertionError(f"{path}: does not read back as the same network")
            replace_text(beside, json.dumps(facts, indent=2) + "\n", durable=False)
    return {
        "file": str(path),
        "files": [str(path), str(beside)],
        "bytes": path.stat().st_size,
        "ram": count_ram(arch, None, len(record.classes)),
        "flash": count_flash(arch, len(record.classes)),
        **found,
    }


def _exported(model: Trained) -> Exported:
    """The network as what is exported, built anew (placed for work here it cannot be captured): one image at a time."""
    record = model.record
    network = build_network(record.arch, len(record.classes))
    load_weights(network, model.file)
    return Exported(
        record.arch, len(record.classes), network.eval(), str(model.file),
        classes=record.classes, mean=record.mean, std=record.std, record=record, fixed=True,
    )  # fmt: skip


def int8_line(facts: dict[str, Any]) -> str:
    """The same in a sentence."""
    gap = 100 * (facts["int8"] - facts["accuracy"])
    other = "" if facts["same_data"] else " (not the images that it was trained on)"
    return (
        f"{' and '.join(facts['files'])}: {facts['bytes']:,} bytes, int8; read back, {100 * facts['int8']:.2f} % of "
        f"{facts['images']:,} images of {facts['split']}{other} are right, {gap:+.2f} points from "
        f"{100 * facts['accuracy']:.2f} % in float32; peak RAM {facts['ram']:,} bytes, weights {facts['flash']:,}"
    )
