"""The script that classifies photographs by exports, with this very Python in place of one without scalenas."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.exports import classified, compared
from experiments.run.models import load_trained
from experiments.views.trained import evaluate
from tests.experiments.export.test_programs import trained


@pytest.mark.parametrize("suffix", [".onnx", ".int8.onnx"])
def test_exports_name_the_classes_that_an_evaluation_names(tmp_path: Path, suffix: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((40, 30)).save(tmp_path / "photos" / name / f"{i}.png")
    model, photos = trained(tmp_path / "model.safetensors", "center"), str(tmp_path / "photos")
    found = evaluate(
        load_trained(str(model)), photos, split="all", cache=None, progress=lambda *_: None, tell=lambda _: None
    )
    chosen = np.arange(len(found.names))
    options = argparse.Namespace(python=sys.executable, data=photos)
    named = classified(model, tmp_path / f"net{suffix}", suffix == ".onnx", found, chosen, options)
    as_evaluated, rest = compared(found, chosen, named).split(" of 8 as evaluated; right ")
    assert int(as_evaluated) >= (8 if suffix == ".onnx" else 6)  # int8 may differ where two classes are near
    assert rest
    wrong = ["a" if name != "a" else "b" for name in named]
    assert compared(found, chosen, wrong).startswith("0 of 8 as evaluated; right ")
