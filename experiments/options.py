"""The options of the command, in groups that commands share. What is not given is left to the preset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers of one kind, of at least `low`, separated by commas; what: what they are, for people."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], what: str, low: float = -math.inf) -> None:
        self.kind, self.what, self.low = kind, what, low

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not {self.what}", param, ctx)
        if min(numbers) < self.low:
            self.fail(f"{value!r} is not {self.what}: {min(numbers)} is below {self.low:g}", param, ctx)
        return numbers


RUN = [
    click.option("--run", "run_dir", required=True, metavar="DIR", help="Run folder; everything is written there."),
    click.option("--preset", metavar="NAME|FILE", help="Settings to start from; options given override it."),
    click.option("--seed", type=int, help="Seed of splits, search and trainings. [0]"),
    click.option("--cache", metavar="DIR", help="Where decoded images are kept. [DIR/cache]"),
    click.option("--train-images", type=int, metavar="N", help="Use at most N training images. [all]"),
    click.option("--max-unreadable", type=float, metavar="SHARE", help="Share of unreadable files to skip. [0.01]"),
    click.option("--resolution", metavar="PIXELS|auto", help="Input size of the baseline. [auto]"),
    click.option("--devices", metavar="LIST", help="auto, cpu, or cuda:0,cuda:1. [auto]"),
    click.option("--workers", type=int, metavar="N", help="Trainings at a time. [by measuring, or one a CPU core]"),
    click.option("--per-device", type=int, metavar="N", help="Trainings at a time on each GPU. [by measuring]"),
    click.option("--plain", is_flag=True, default=None, help="Train by PyTorch alone, without the compiled loops."),
    click.option("--evaluator", metavar="MODULE:FUNCTION", help="Trains in place of the built-in proxy (see docs)."),
    click.option("--executor", metavar="NAME", help="local (worker processes), inline or ray. [local]"),
    click.option("--ray-address", metavar="ADDRESS", help="The Ray cluster's, or auto. [one of this machine alone]"),
    click.option("--trial-timeout", type=float, metavar="SECONDS", help="Longest training. [20 times the forecast]"),
    click.option("--tensorboard", is_flag=True, default=None, help="Log to DIR/tensorboard, for TensorBoard to show."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."),
]
DRY = [click.option("--dry-run", is_flag=True, help="Say what it would cost; train nothing.")]
TARGET = [
    click.option("--target-macs", metavar="N|b0|auto", help="MACs wanted, such as 20M. [auto: B0 fitted, half width]"),
]
PROXY = [
    click.option("--epochs", type=int, metavar="N", help="Epochs of one short training. [5]"),
    click.option("--train-fraction", type=float, metavar="SHARE", help="Share of the training images it sees. [1]"),
]
SPACE = [click.option("--space", metavar="NAME", help="mnasnet, mbconv, or module:function. [mnasnet]")]
SEARCH = [
    click.option("--storage", metavar="URL", help="postgresql://...: a search that several drivers share. [DIR]"),
    click.option("--cost", metavar="NAME", help="What the score charges for: macs, params, latency. [macs]"),
    click.option("--target-cost", type=float, help="Target in that unit (latency: ms). [that of the space's base]"),
    click.option("--max-cost", type=float, help="Never train a network above this, in that unit. [none]"),
    click.option("--latency-backend", metavar="NAME", help="torch or onnxruntime. [torch]"),
    click.option("--latency-device", metavar="NAME", help="Where latency is measured. [cpu]"),
    click.option("--latency-batch", type=int, metavar="N", help="Images at a time. [1]"),
    click.option("--latency-samples", type=int, metavar="N", help="Networks measured before the search. [100]"),
    click.option("--max-macs", metavar="N|b0|auto", help="Never train a network that costs more. [none]"),
    click.option("--trials", type=int, metavar="N", help="Architectures to try. [100]"),
    *SPACE,
    click.option("--sampler", metavar="NAME", help="default, random, tpe, evolution ... [default]"),
    click.option("--pruner", metavar="NAME", help="Stop poor trials early: none, halving or hyperband. [none]"),
    click.option("--score", metavar="FORM", help="soft, hard or absolute. [soft]"),
    click.option(
        "--exponent",
        type=Numbers(float, "a number, or two separated by a comma"),
        metavar="W[,W]",
        help="w, or w below and above the target. [-0.07]",
    ),
    click.option("--confirm", type=int, metavar="N", help="Best candidates trained again at fresh seeds. [3]"),
    click.option("--confirm-seeds", type=int, metavar="N", help="Fresh seeds for each of them. [3]"),
]
GROWTH = [
    click.option("--points", metavar="LAYOUT", help="matched or nominal. [matched]"),
    click.option("--step", type=float, help="Step of the nominal grid. [0.05]"),
    click.option("--tolerance", type=float, help="Allowed distance of its cost from 2. [0.1]"),
    click.option("--seeds", type=int, metavar="N", help="Seeds for each point. [3]"),
    click.option(
        "--lengths",
        type=Numbers(int, "a list of numbers of epochs such as 5,10", low=1),
        metavar="N[,N...]",
        help="Epochs of the trainings to compare. [--epochs and twice that]",
    ),
    click.option("--precision", type=float, help="Stop when every share is known this closely (needs --budget)."),
    click.option("--budget", metavar="N|HOURSh", help="Trainings, or hours such as 1.5h, for the grid. [all]"),
    click.option("--plot-phi", type=float, metavar="PHI", help="Largest phi of the scaling plot; 0: no plot. [2]"),
]
FINAL = [
    click.option("--final-epochs", type=int, metavar="N", help="Epochs of every training on the frontier. [20]"),
    click.option("--final-seeds", type=int, metavar="N", help="Seeds of every point on the frontier. [3]"),
]
ARCH = [
    click.option(
        "--arch", multiple=True, metavar="ARCH", help="A network's name (fitted to the data), a JSON file or a run."
    ),
]
WHOLE = [
    click.option("--family-phi", type=int, metavar="N", help="Train the family up to this phi. [2]"),
    click.option(
        "--rivals",
        is_flag=True,
        default=None,
        help="Also scale the baseline by (1.2, 1.1, 1.15) and by each dimension alone, at the family's costs.",
    ),
    click.option("--top", type=int, metavar="N", help="Best of the search on the frontier, baseline included. [3]"),
]

FIDELITY = [
    click.option("--candidates", type=int, metavar="N", help="Networks drawn from the space. [20]"),
    click.option(
        "--fidelity", multiple=True, metavar="EPOCHS[:SHARE]", help="A further short training to judge, such as 3:0.5."
    ),
    click.option("--seeds", type=int, metavar="N", help="Seeds of each short training. [2]"),
    click.option("--final-epochs", type=int, metavar="N", help="Epochs of the long one. [8 times the short ones']"),
    click.option("--final-seeds", type=int, metavar="N", help="Seeds of the long training. [1]"),
    click.option("--bar", type=float, metavar="TAU", help="Least tau of a fidelity to recommend. [0.7]"),
]
TRAIN = [
    click.option("--recipe", metavar="NAME", help="fast or paper. [fast]"),
    click.option("--epochs", type=int, metavar="N", help="Length of the training. [fast: 100, paper: 350]"),
    click.option("--keep", metavar="WHICH", help="Weights of the epoch best on val, or the last: best, last. [best]"),
    click.option(
        "--weights", metavar="FILE", help="Fine-tune these (.safetensors, .pth); a new classifier if need be."
    ),
    click.option("--body-rate", type=float, metavar="SHARE", help="Learning rate of all but the classifier. [1]"),
    click.option("--freeze-body", is_flag=True, help="Train the classifier alone."),
    click.option("--new-head", is_flag=True, help="A new classifier even where the file's fits."),
]


def options(*groups: Sequence[Decorator]) -> Callable[[Command], Command]:
    """A decorator that adds all options of the groups, in order."""

    def add(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)  # type: ignore[assignment]
        return command

    return add
