"""Public weights by name alone, from timm where it is installed: from its cache, or downloaded by it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from experiments.errors import UserError
from nas.files import replace_text, replacing

_OF_TIMM: Mapping[str, tuple[str, ...]] = {
    **{f"efficientnet_b{i}": (f"efficientnet_b{i}", f"tf_efficientnet_b{i}") for i in range(5)},
    **{f"efficientnet_b{i}": (f"tf_efficientnet_b{i}",) for i in (5, 6, 7)},
    "efficientnet_lite0": ("efficientnet_lite0", "tf_efficientnet_lite0"),
    **{f"efficientnet_lite{i}": (f"tf_efficientnet_lite{i}",) for i in range(1, 5)},
    "efficientnet_v2_s": ("tf_efficientnetv2_s",),
    "mnasnet_a1": ("semnasnet_100", "semnasnet_075"),
    "mnasnet_b1": ("mnasnet_100",),
    "mobilenet_v1": ("mobilenetv1_100", "mobilenetv1_125"),
    "mobilenet_v2": ("mobilenetv2_100", "mobilenetv2_050", "mobilenetv2_140"),
    "mobilenet_v3_large": ("mobilenetv3_large_100", "tf_mobilenetv3_large_100", "tf_mobilenetv3_large_075"),
    "mobilenet_v3_small": ("mobilenetv3_small_100", "tf_mobilenetv3_small_100", "mobilenetv3_small_075"),
    "mobilenet_v4_conv_small": ("mobilenetv4_conv_small", "mobilenetv4_conv_small_050"),
    "xception": ("legacy_xception",),
    **{name: (name,) for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2")},
}
"""timm's models of each known network, those of other widths included; the first is meant by the network's own name."""


def public_network(option: str, name: str) -> str:
    """The known network that a name is of, where it is one's own or that of a model of timm's. Raises UserError."""
    for known, models in _OF_TIMM.items():
        if name in (known, *models):
            return known
    if Path(name).is_file() and Path(name).suffix != ".json":
        raise UserError(f"{option} {name}: name the network of these weights, too: {option} NETWORK={name}")
    raise UserError(
        f"{option} {name}: timm has no weights of it; give them as {option} NETWORK=FILE, or one of "
        f"{', '.join(_OF_TIMM)} alone"
    )


def public_weights(option: str, name: str, folder: Path, say: Callable[[str], None]) -> Path:
    """timm's weights of `name` (see `public_network`) in a file of `folder`, made where it is not there.

    What images and padding they expect is in a record beside it (see `read_origin`). say: is told before timm is asked,
    which may download them. Raises UserError where timm is not installed or cannot give them.
    """
    model = _OF_TIMM.get(name, (name,))[0]
    file = folder / f"{model}.safetensors"
    if file.is_file():
        return file
    say(f"weights: timm is asked for {model}; what is not in its cache it downloads from the Hugging Face hub")
    state, origin = _asked(option, name, model)
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(file.with_suffix(".json"), json.dumps(origin), durable=False)
    with replacing(file, durable=False) as draft:
        save_file(state, draft)
    return file


def _asked(option: str, name: str, model: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of timm's model, and what is known of them. Raises UserError."""
    mend = f"or give a file: {option} {public_network(option, name)}=FILE"
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise UserError(f"{option} {name}: needs timm ({error}): pip install timm, {mend}") from None
    try:
        network = timm.create_model(model, pretrained=True)
    except Exception as error:  # whatever timm, the hub or the network make of it
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{option} {name}: timm has no weights to give ({why}), {mend}") from error
    config = network.pretrained_cfg
    origin = {"mean": [*config["mean"]], "std": [*config["std"]]}
    padding = {"padding": "same"} if model.startswith("tf_") else {}  # as TensorFlow, which trained it
    return {key: value.contiguous() for key, value in network.state_dict().items()}, {**origin, **padding}
