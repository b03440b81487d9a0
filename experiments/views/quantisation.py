"""A trained network as a file in int8, and what that makes of real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.errors import UserError, from_user
from experiments.views.trained import Trained, held_out, labels_for, opened_for
from nas.data.feed import open_feed
from nas.files import replacing
from nas.training.int8 import Quantised, quantise
from nas.training.objective import accuracy
from search_spaces import build_network, count_flash, count_ram, load_weights

_CPU = torch.device("cpu")


def write_int8(
    model: Trained, data: str, path: Path, *, progress: Callable[[int, int], None], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Quantise a network, calibrated on training images of `data`, to an ONNX file (QDQ) of batch one; read it back and
    run it on the images that it was not trained on (of others on those of val).

    Gives what is worth telling: file, bytes of it, RAM and flash as counted, split, images, accuracy in float32 and in
    int8. Raises UserError.
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
        network = build_network(arch, len(record.classes))
        load_weights(network, model.file)
        metadata = {name: text for name, text in record.metadata.items() if name != "arch"}
        made = quantise(network, calibration, metadata)
        with replacing(path, durable=False) as draft:
            draft.write_bytes(made.model)
            predicted = Quantised(draft.read_bytes()).predict(measured)
        labels = labels_for(record, dataset)[measured.labels]
        with torch.inference_mode():
            plain = torch.cat([network.eval()(images).argmax(1) for images, _ in measured.in_order(64)])
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "ram": count_ram(arch, None, len(record.classes)),
        "flash": count_flash(arch, len(record.classes)),
        "split": held_out(dataset),
        "images": len(labels),
        "same_data": dataset.fingerprint == record.data.fingerprint,
        "accuracy": accuracy(plain, labels),
        "int8": accuracy(predicted, labels),
    }


def int8_line(facts: dict[str, Any]) -> str:
    """The same in a sentence."""
    gap = 100 * (facts["int8"] - facts["accuracy"])
    other = "" if facts["same_data"] else " (not the images that it was trained on)"
    return (
        f"{facts['file']}: {facts['bytes']:,} bytes, int8; read back, {100 * facts['int8']:.2f} % of "
        f"{facts['images']:,} images of {facts['split']}{other} are right, {gap:+.2f} points from "
        f"{100 * facts['accuracy']:.2f} % in float32; peak RAM {facts['ram']:,} bytes, weights {facts['flash']:,}"
    )
