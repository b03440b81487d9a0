"""torch.export: a .pt2 file that torch runs without any of this project's code."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from experiments.export.check import BATCHES, difference, reference
from experiments.export.source import Exported

FACTS = "scalenas.json"
"""The extra file in a .pt2 that has the facts."""


def write_program(exported: Exported, path: Path) -> float:
    """Write the exported program, with a free batch size and the facts as an extra file; give the largest difference of
    the outputs it has when it is loaded again."""
    torch.export.save(exported.program, str(path), extra_files={FACTS: json.dumps(exported.facts)})
    loaded = torch.export.load(str(path)).module()
    worst = 0.0
    for batch in BATCHES:
        images = exported.probe(batch)
        with torch.inference_mode():
            found = loaded(images)
        worst = max(worst, difference(reference(exported.module, images), found))
    return worst
