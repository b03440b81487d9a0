"""The programs of docs/export.md: pasted out of the page, they classify photos as this project does, without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.errors import UserError
from experiments.export import FIXED, export
from experiments.export.source import load_exported
from experiments.records.model import ImageFormat, MadeBy, ModelRecord, OpenedData
from experiments.records.training import Accuracies
from experiments.run.models import load_trained
from experiments.views.quantisation import write_int8
from experiments.views.trained import predict
from nas.data.levels import Levels
from nas.training.checkpoint import save_weights
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec
from tests.experiments.export.test_export import exported

PAGE = Path(__file__).parents[3] / "docs" / "export.md"
FIRST, *PARTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
PROGRAMS = dict(zip(re.findall(r"^`(\.\w+)` \(`pip install", PAGE.read_text(), re.MULTILINE), PARTS, strict=True))
NEEDS = {".onnx": ("onnx", "onnxscript", "onnxruntime"), ".tflite": ("litert_torch",), ".pte": ("executorch",)}
OWN = ("scalenas", "experiments", "scaling_search", "nas", "search_spaces")
WITHOUT_TORCH = (".onnx", ".tflite")
SILENT: dict[str, Any] = {"progress": lambda *_: None, "tell": lambda _: None}
TINY = ArchSpec((StageSpec(channels=8),), StemSpec(8), HeadSpec(16), resolution=16)


def trained(file: Path, crop: str, channels: int = 3, resolution: int = 16, *, grey: bool = False) -> Path:
    """A network of made-up weights and record. Images of one channel are repeated for it; a `grey` one has one channel
    and sees images of three in grey."""
    arch = replace(TINY, resolution=resolution, input_channels=1 if grey else 3)
    seen = 1 if grey else channels
    record = ModelRecord(
        arch=arch, classes=tuple("abcdefg"), mean=(0.4, 0.5, 0.6)[:seen], std=(0.2, 0.3, 0.25)[:seen],
        padding=arch.padding, norm_eps=arch.norm_eps, metric="accuracy", accuracy=Accuracies(0.75, 0.5),
        images=ImageFormat(24, channels, crop, replace(Levels(), background=0).to_json()),
        data=OpenedData("mine", "0123", 0, None, None), made_by=MadeBy("fast", 3, 0, {"scalenas": "0.1.0"}),
    )  # fmt: skip
    save_weights(exported(arch).network, file, metadata=record.metadata)
    return file


def labelled(folder: Path) -> str:
    """Images of the network's first two classes, to calibrate on and to measure."""
    rng = np.random.default_rng(2)
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((40, 30), Image.Resampling.BICUBIC).save(folder / name / f"{i}.png")
    return str(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A large JPEG lying on its side, a transparent PNG and a grey one, all of other shapes."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)

    def picture(mode: str, wide: int, high: int) -> Image.Image:
        small = rng.integers(0, 256, (5, 4, len(mode)), dtype=np.uint8).squeeze()
        return Image.fromarray(small).resize((wide, high), Image.Resampling.BICUBIC)

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture("RGB", 210, 130).save(folder / "a.jpg", exif=exif)
    picture("RGBA", 40, 57).save(folder / "b.png")
    picture("L", 33, 24).save(folder / "c.png")
    return [str(folder / name) for name in ("a.jpg", "b.png", "c.png")]


@pytest.mark.parametrize(
    ("suffix", "prepares", "images"),
    [(".onnx", False, ("center", 3)), (".onnx", True, ("pad", 1)), (".pt2", True, ("center", 3)),
     (".py", True, ("stretch", 1)), (".onnx", False, ("center", 3, "grey")), (".py", True, ("pad", 3, "grey")),
     (".int8.onnx", False, ("center", 3)),
     (".tflite", True, ("center", 3)), (".pte", True, ("center", 3))],
)  # fmt: skip
def test_programs_classify_photos_as_the_project_does(
    tmp_path: Path, photos: list[str], suffix: str, prepares: bool, images: tuple[str, int, *tuple[str, ...]]
) -> None:
    kind = Path(f"net{suffix}").suffix
    for package in NEEDS.get(kind, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    crop, channels, *grey = images
    model = trained(tmp_path / "model.safetensors", crop, channels, grey=bool(grey))
    if suffix == ".int8.onnx":
        write_int8(load_trained(str(model)), labelled(tmp_path / "data"), tmp_path / f"net{suffix}", **SILENT)
    else:
        net = load_exported(str(model), None, None, None)
        export(net.prepared() if prepares else net, tmp_path / f"net{suffix}")
    (tmp_path / "classify.py").write_text(FIRST + PROGRAMS[kind])
    blocked = [*OWN, *(["torch"] if kind in WITHOUT_TORCH else [])]
    start = (
        f"import sys, runpy; sys.path.append({sysconfig.get_paths()['purelib']!r});"
        f"sys.modules.update(dict.fromkeys({blocked!r})); sys.argv[1:] = {[f'net{suffix}', *photos]!r};"
        "runpy.run_path('classify.py')"
    )
    # -S leaves out the .pth files by which an editable install is found.
    done = subprocess.run(
        [sys.executable, "-S", "-W", "ignore", "-c", start],
        cwd=tmp_path, env={"ORT_DISABLE_TELEMETRY": "1"}, check=True, timeout=300, capture_output=True, text=True,
    )  # fmt: skip
    expected = predict(load_trained(str(model)), photos)
    lines = done.stdout.splitlines()
    for photo, line, row in zip(photos, lines, expected, strict=True):
        found = re.fullmatch(rf"{re.escape(photo)}: (\w), ([\d.]+) %", line)
        assert found is not None
        assert found[1] == "abcdefg"[int(row.argmax())]
        # The project's own second resizing is torch's, which need not agree with Pillow's in every last level.
        assert float(found[2]) == pytest.approx(100 * float(row.max()), abs=0.1 if prepares else 1.5)


def test_every_program_has_its_facts_beside_it(tmp_path: Path) -> None:
    net = load_exported(str(trained(tmp_path / "model.safetensors", "pad")), None, None, None)
    export(net.prepared(), tmp_path / "net.py")
    facts = json.loads((tmp_path / "net.py.model.json").read_text())
    assert facts == net.prepared().facts
    assert facts["input"] == {"type": "uint8", "layout": "NHWC", "shape": [None, None, None, 3]}
    assert (facts["colours"], facts["crop"], facts["background"]) == ("RGB", "pad", 0)
    assert facts["resize"] == [[24, "bicubic"]]
    assert net.facts["resize"] == [[24, "bicubic"], [16, "bilinear"]]
    assert replace(net.prepared(), fixed=True).facts["resize"] == net.facts["resize"]
    assert "pad it to a square" in facts["usage"]
    assert ("as uint8" in facts["usage"], "float32" in net.facts["usage"]) == (True, True)
    assert facts["accuracy"] == {"val": 0.75, "test": 0.5}
    assert facts["provenance"]["training"]["recipe"] == "fast"
    other = load_exported(str(tmp_path / "model.safetensors"), None, None, 24)
    assert "accuracy" not in other.facts
    assert other.facts["resize"] == [[24, "bicubic"]]
    again = load_trained(str(tmp_path / "net.weights.safetensors"))  # which says all that the training's own file does
    assert again.record == net.record


def test_a_file_in_int8_says_what_others_say_and_both_accuracies(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    for package in NEEDS[".onnx"]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    model = trained(tmp_path / "model.safetensors", "pad")
    told = write_int8(load_trained(str(model)), labelled(tmp_path / "data"), tmp_path / "net.int8.onnx", **SILENT)
    facts = json.loads((tmp_path / "net.int8.onnx.model.json").read_text())
    assert told["files"] == [str(tmp_path / "net.int8.onnx"), str(tmp_path / "net.int8.onnx.model.json")]
    properties = onnx.load(tmp_path / "net.int8.onnx").metadata_props
    assert {each.key: json.loads(each.value) for each in properties} == facts
    measured = facts.pop("quantised")
    assert facts == replace(load_exported(str(model), None, None, None), fixed=True).facts
    assert facts["input"]["shape"] == [1, 3, 16, 16]
    assert measured == {"data": str(tmp_path / "data")} | {
        name: told[name] for name in ("split", "images", "same_data", "accuracy", "int8")
    }
    assert 0 <= measured["int8"] <= 1


def test_fixed_programs_take_one_image_of_their_size(tmp_path: Path) -> None:
    net = load_exported(str(trained(tmp_path / "model.safetensors", "center", 1)), None, None, None).prepared()
    fixed = replace(net, fixed=True)
    images = fixed.probe(1)
    assert list(images.shape) == fixed.facts["input"]["shape"] == [1, 16, 16, 1]
    torch.testing.assert_close(fixed.module(images), net.module(images))
    assert set(FIXED) == {".tflite", ".pte"}


def test_preprocessing_needs_to_be_known() -> None:
    with pytest.raises(UserError, match="nobody knows how images are normalised"):
        load_exported("mobilenet_v2", None, 7, 32).prepared()
