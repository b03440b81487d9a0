"""A value for every option, other than its default."""

from __future__ import annotations

from typing import Any

from experiments.options.command import offered
from experiments.options.declaration import Declared, say
from experiments.options.groups import TRAINING

VALUES: dict[str, Any] = {
    "run_dir": "elsewhere", "preset": "demo", "as_json": True, "dry_run": True,
    "seed": 7, "arch": ("mobilenet_v2",), "tensorboard": True,
    "benchmark": "table.csv", "resolution": "6", "train_images": 32, "max_unreadable": 0.5,
    "group": r"\d+", "crop": "pad", "grey": True, "no_flip": True, "cache": "cache",
    "devices": "cpu,cpu,cpu", "workers": 97, "per_device": 98, "executor": "inline", "ray_address": "head:1",
    "trial_timeout": 77.0,
    "epochs": 3, "train_fraction": 0.5, "plain": True, "metric": "macro_f1", "int8": True, "class_weights": True,
    "numerics": "tf32", "evaluator": "module:other",
    "trials": 3, "space": "mbconv", "sampler": "qmc", "pruner": "halving", "score": "absolute", "exponent": (-0.5,),
    "confirm": 1, "confirm_seeds": 2, "storage": "postgresql://me@127.0.0.1:1/none",
    "target_macs": "2M", "max_macs": "700k", "cost": "params", "target_cost": 9000.0, "max_cost": 5e5,
    "latency_backend": "onnxruntime", "latency_device": "cuda", "latency_batch": 2, "latency_samples": 11,
    "latency_command": "./bench {json}",
    "max_ram": "100k", "max_flash": "1M",
    "points": "nominal", "step": 0.2, "tolerance": 0.3, "seeds": 4, "lengths": (2, 3), "budget": "5", "precision": 0.9,
    "plot_phi": 0.5, "plot_from": -1, "rule": "adaptive",
    "final_epochs": 13, "final_seeds": 2, "family_phi": 1, "top": 2, "rivals": True,
    "pretrained": ("net.json=weights.safetensors",), "inherit": "net.json=weights.safetensors",
    "teacher": "model.safetensors",
    "recipe": "paper", "keep": "last", "weights": "weights.safetensors", "body_rate": 0.5, "freeze_body": True,
    "new_head": True, "normalise": "0.5/0.25",
    "candidates": 6, "fidelity": ("2:0.5",), "bar": 0.2,
}  # fmt: skip

OPTIONS = [
    (command, option) for command in TRAINING for group in offered(command).values() for option in group.values()
]
"""Every option of every command that trains."""


def as_arguments(option: Declared, value: Any) -> tuple[str, ...]:
    """An option with a value as on the command line."""
    if option.kind is bool:
        return (option.flag,)
    texts = value if option.is_tuple and option.kind is str else (value,)
    return tuple(part for text in texts for part in (option.flag, say(text)))
