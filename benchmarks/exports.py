"""Whether exports classify photographs where neither this project nor, if the format needs none, torch is, as the run
states.

    python -m benchmarks.exports DATA RUN/models/*.safetensors --python CLEAN/bin/python [--photos 20]

Each trained network is written in every format asked for, plain and (but for .int8.onnx, which is calibrated on DATA)
`--with-preprocessing`, and the programs of
docs/export.md classify the same photographs (drawn from the split that the training was measured on) in a Python
without scalenas; all they know of the images stands in the files. Prints, for each file, on how many of the
photographs it names the class that `scalenas evaluate` names, and both accuracies on them beside that on the whole
split and that of the training's own record. In CLEAN: pip install numpy pillow onnxruntime ai-edge-litert; for .pt2 and
.py another with torch, for .pte with executorch, which this Python needs, too, as litert-torch for .tflite.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from experiments.export import export
from experiments.export.source import load_exported
from experiments.run.models import load_trained
from experiments.views.quantisation import write_int8
from experiments.views.trained import Evaluation, evaluate

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
CLEAN = {"ORT_DISABLE_TELEMETRY": "1"}
"""The environment of that Python: no PYTHONPATH leads it back here."""
INT8 = ".int8.onnx"
ABSENT = "import importlib.util, sys; assert not any(map(importlib.util.find_spec, sys.argv[1:]))"
OWN, WITHOUT_TORCH = ("scalenas", "experiments", "scaling_search", "nas", "search_spaces"), {INT8, ".onnx", ".tflite"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument(
        "--python", required=True, help="a Python without scalenas, and without torch where none is needed"
    )
    parser.add_argument("--formats", nargs="+", default=[".onnx", ".tflite"])
    parser.add_argument("--photos", type=int, default=20)
    options = parser.parse_args()
    print(f"command: python -m benchmarks.exports {' '.join(sys.argv[1:])}; {machine()}")
    with tempfile.TemporaryDirectory() as room:
        absent = [*OWN, *(["torch"] if WITHOUT_TORCH.issuperset(options.formats) else [])]
        subprocess.run([options.python, "-c", ABSENT, *absent], check=True, cwd=room, env=CLEAN)
        for model in options.models:
            found = evaluate(
                load_trained(str(model)), options.data, split=None, cache=room, progress=lambda *_: None, tell=print
            )
            chosen = np.random.default_rng(0).permutation(len(found.names))[: options.photos]
            for suffix in options.formats:
                for prepares in (False, True)[: 1 if suffix == INT8 else 2]:
                    named = classified(model, Path(room) / f"net{suffix}", prepares, found, chosen, options)
                    print(f"{model.stem}, {suffix}{' with preprocessing' * prepares}: {compared(found, chosen, named)}")


def classified(  # noqa: PLR0917
    model: Path, file: Path, prepares: bool, found: Evaluation, chosen: np.ndarray, options: argparse.Namespace
) -> list[str]:
    """The classes that the page's program names for the chosen photographs."""
    if file.name.endswith(INT8):
        write_int8(load_trained(str(model)), options.data, file, progress=lambda *_: None, tell=print)
    else:
        net = load_exported(str(model), None, None, None)
        export(net.prepared() if prepares else net, file)
    program = file.with_name("classify.py")
    first, *parts = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    suffixes = re.findall(r"^`(\.\w+)` \(`pip install", PAGE.read_text(), re.MULTILINE)
    program.write_text(first + parts[suffixes.index(file.suffix)])
    photos = [str(Path(options.data).resolve() / str(found.names[i])) for i in chosen]
    done = subprocess.run(
        [options.python, program.name, file.name, *photos],
        check=True, cwd=file.parent, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    return [
        line.removeprefix(f"{photo}: ").rpartition(", ")[0]
        for photo, line in zip(photos, done.stdout.splitlines(), strict=True)
    ]


def compared(found: Evaluation, chosen: np.ndarray, named: list[str]) -> str:
    """How the named classes compare with those of the evaluation and with the truth."""
    classes = found.model.record.classes
    ours = [classes[found.predicted[i]] for i in chosen]
    truth = [classes[found.labels[i]] for i in chosen]
    same, right, own = (
        sum(a == b for a, b in zip(first, second, strict=True))
        for first, second in ((named, ours), (named, truth), (ours, truth))
    )
    stated = found.before
    return (
        f"{same} of {len(chosen)} as evaluated; right {right}, evaluated {own}; {' and '.join(found.splits)} "
        f"{100 * found.value:.2f} %, by the record {'unknown' if stated is None else f'{100 * stated:.2f} %'}"
    )


if __name__ == "__main__":
    main()
