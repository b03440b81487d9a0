"""The settings of a run, in groups: what it is of, its data, what trains, and what each step is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from experiments.options.declaration import (
    EPOCHS,
    LARGEST_PHI,
    SEEDS,
    SHARE,
    SMALLEST_PHI,
    Meaning,
    Option,
    Range,
    Where,
    With,
    Without,
    check,
)
from nas.score import STEEPEST, Score
from nas.study.passwords import check_address

EXPONENTS: dict[str, tuple[float, ...]] = {"soft": (-0.07,), "hard": (0.0, -1.0), "absolute": (-0.10,)}
"""MnasNet's soft and hard forms and TuNAS's absolute one, with their published exponents."""

# One option is a paragraph:
# fmt: off

POOLED = ("run", "discover", "scale", "compare", "fidelity")
"""The commands that train many networks; `train` trains one."""
TRAINING = (*POOLED, "train")
SEARCHING, GROWING, COMPARING = ("run", "discover"), ("run", "scale"), ("run", "compare")
PROXIED = ("run", "discover", "scale", "compare", "fidelity")
"""The commands that use the short training."""

REFERENCES = (
    "plain_resnet", "pooled_mbconv", "plain_mbconv", "resnet20", "mobilenet_v2", "mnasnet_a1", "efficientnet_b0",
)  # fmt: skip
"""What a network must beat to be worth its search."""

LARGEST_BUDGET = 10**6
"""In trainings, or hours."""

_IMAGES = Without("benchmark", because="nothing is trained")
_SEARCHED = Without("arch", commands=("run",), because="the search is skipped")
_TIMED = (_SEARCHED, _IMAGES, With("cost", ("latency",)))
_TIMED_HERE = (Without("latency_command"), *_TIMED)
_NOMINAL = With("points", ("nominal",))
_FITTED = Where("a network to fit", commands=("compare",))


@dataclass(frozen=True)
class GeneralOptions:
    """What concerns a run as a whole. arch: names, files or runs; the baseline, or what is to be compared."""

    seed: int = field(default=0, metadata=Option(
        help="Seed of splits, search and trainings.", commands=TRAINING, metavar="N", range=Range(0, 2**31 - 1)))
    arch: tuple[str, ...] = field(default=(), metadata=Option(
        help="A network's name (fitted to the data), a JSON file or a run.",
        commands=("run", "scale", "compare", "fidelity"), metavar="ARCH", told={
            "run": Meaning("Use this network as the baseline; do not search."),
            "scale": Meaning("The baseline to scale.", "the run's, else efficientnet_b0"),
            "compare": Meaning("A network to train; repeatable.", "the run's baseline and known ones"),
            "fidelity": Meaning("A network to rank beside those drawn; repeatable.")}))
    tensorboard: bool = field(default=False, metadata=Option(
        help="Write TensorBoard logs into the run folder.", commands=TRAINING))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DataOptions:
    """Images, or a published table in their place (`benchmark`)."""

    benchmark: str | None = field(default=None, metadata=Option(
        help="Search a published table (CSV) in place of DATA.", commands=("discover",), metavar="FILE"))
    resolution: str = field(default="auto", metadata=Option(
        help="Input size, or max:N to search up to N.", commands=TRAINING, metavar="N|max:N|auto", unit="pixels",
        needs=(_IMAGES,),
        told={
            "scale": Meaning("Input size; a number is that of --arch, too."),
            "compare": Meaning("Input size of known networks."), "train": Meaning("Input size of a known network.")}))
    train_images: int | None = field(default=None, metadata=Option(
        help="Use at most N training images.", commands=TRAINING, metavar="N", range=Range(2, 10**9), unset="all",
        needs=(_IMAGES,)))
    group: str | None = field(default=None, metadata=Option(
        help="Keep files with the same REGEX match in one split.", commands=TRAINING, metavar="REGEX",
        needs=(_IMAGES, Where("files"))))
    crop: str = field(default="center", metadata=Option(
        help="Make images square: center, pad, stretch.", commands=TRAINING, metavar="NAME",
        known=("center", "pad", "stretch"), needs=(_IMAGES, Where("files"))))
    grey: bool = field(default=False, metadata=Option(
        help="Convert images to one grey channel.", commands=TRAINING, needs=(_IMAGES, Where("files"))))
    no_flip: bool = field(default=False, metadata=Option(
        help="Never mirror images; for text, signs and the like.", commands=TRAINING, needs=(_IMAGES, Where("files"))))
    max_unreadable: float = field(default=0.01, metadata=Option(
        help="Stop above this share of unreadable files.", commands=TRAINING, metavar="SHARE", range=Range(0, 1),
        needs=(_IMAGES, Where("files"))))
    cache: str | None = field(default=None, metadata=Option(
        help="Decoded images.", commands=TRAINING, metavar="DIR", unset="cache/ in the run folder",
        needs=(_IMAGES,)))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PoolOptions:
    """What trains, and how much at a time."""

    devices: str = field(default="auto", metadata=Option(
        help="Devices: auto, cpu, or cuda:0,cuda:1.", commands=TRAINING, metavar="LIST",
        needs=(Without("executor", ("ray",), because="the cluster has its own"), _IMAGES),
        told={"train": Meaning("auto, cpu or cuda:0: the first is used.")}))
    workers: int | None = field(default=None, metadata=Option(
        help="Trainings at once, in all.", commands=POOLED, metavar="N", range=Range(1, 4096),
        unset="CPU: cores; GPU: auto", needs=(Without("executor", ("inline",)), _IMAGES)))
    per_device: int | None = field(default=None, metadata=Option(
        help="Trainings at once on each device.", commands=POOLED, metavar="N", range=Range(1, 256),
        unset="auto", needs=(Without("executor", ("inline",)), _IMAGES, Where("devices to share"))))
    executor: str = field(default="local", metadata=Option(
        help="local, inline (in this process) or ray.", commands=POOLED, metavar="NAME",
        known=("local", "inline", "ray"), needs=(_IMAGES,), aliases={"InlineExecutor": "--executor inline"}))
    ray_address: str | None = field(default=None, metadata=Option(
        help="Ray cluster.", commands=POOLED, metavar="ADDRESS", unset="starts one",
        needs=(With("executor", ("ray",)),), aliases={"address": "--ray-address"}))
    trial_timeout: float | None = field(default=None, metadata=Option(
        help="Time limit of a training.", commands=POOLED, metavar="SECONDS", unit="seconds", range=Range(1, 10**7),
        unset="20 x its forecast", needs=(_IMAGES,)))

    def __post_init__(self) -> None:
        check(self)
        if self.workers is not None and self.per_device is not None:
            raise ValueError("`workers` is the number in all, `per_device` that on each: give one of them")


@dataclass(frozen=True)
class TrainingOptions:
    """The short training of search and grid, and of the ways to fit a known network."""

    epochs: int | None = field(default=None, metadata=Option(
        help="Epochs for each.", commands=PROXIED, metavar="N", unit="epochs", range=EPOCHS,
        unset="20 to 3, fewer for more images",
        needs=(_IMAGES, _FITTED, Where("lengths left open")), told={
            "discover": Meaning("Epochs for each."),
            "scale": Meaning("Train the grid for N and for 2 N epochs."),
            "compare": Meaning("Epochs of short trainings that choose a fit."),
            "fidelity": Meaning("Epochs of the short training to judge.")}))
    train_fraction: float = field(default=1.0, metadata=Option(
        help="Share of the images used in search and grid.", commands=PROXIED, metavar="SHARE", range=SHARE,
        needs=(_IMAGES, _FITTED)))
    inherit: str | None = field(default=None, metadata=Option(
        help="Build networks from parts of a pretrained one.", commands=POOLED,
        metavar="NAME[=FILE]", needs=(_IMAGES, Without("evaluator"))))
    metric: str = field(default="accuracy", metadata=Option(
        help="Maximise accuracy, balanced_accuracy, macro_f1 or int8 (accuracy in int8).", commands=TRAINING,
        metavar="NAME", known=("accuracy", "balanced_accuracy", "macro_f1", "int8"),
        needs=(_IMAGES, Without("evaluator")), told={
            "train": Meaning("Judge by accuracy, balanced_accuracy or macro_f1.")}))
    int8: bool = field(default=False, metadata=Option(
        help="Also measure accuracies in int8.", commands=("run", "discover", "compare"),
        needs=(_IMAGES, Without("evaluator"), Without("metric", ("int8",), because="all accuracies are in int8"),
               Where("something in int8")), told={
            "run": Meaning("Memory bounds in int8; test int8 accuracy too."),
            "discover": Meaning("Memory bounds in int8; test int8 accuracy too.")}))
    class_weights: bool = field(default=False, metadata=Option(
        help="Give rare classes a larger weight in the loss.", commands=TRAINING,
        needs=(_IMAGES, Without("evaluator"))))
    plain: bool = field(default=False, metadata=Option(
        help="Train without scalenas' own kernels (slower).", commands=TRAINING,
        needs=(_IMAGES, Without("evaluator"), Where("a CPU"))))
    numerics: str = field(default="float32", metadata=Option(
        help="GPU precision: float32, tf32, bfloat16.", commands=TRAINING, metavar="NAME",
        known=("float32", "tf32", "bfloat16"), needs=(_IMAGES, Without("evaluator"), Where("GPUs alone"))))
    evaluator: str | None = field(default=None, metadata=Option(
        help="Train with your code: see docs/extending.md.", commands=POOLED, metavar="MODULE:NAME",
        needs=(_IMAGES,)))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SearchOptions:
    """The search for a baseline."""

    trials: int = field(default=100, metadata=Option(
        help="Number of networks to try.", commands=SEARCHING, metavar="N", range=Range(1, 10**6), needs=(_SEARCHED,)))
    space: str | None = field(default=None, metadata=Option(
        help="macro, edge, mnasnet, mbconv or your own.", commands=("run", "discover", "fidelity"), metavar="NAME",
        unset="macro", needs=(_SEARCHED, Without("benchmark", because="the table is the space"), Without("inherit"),
               Without("candidates", (0,), commands=("fidelity",))),
        told={"fidelity": Meaning("Draw from macro, edge, mnasnet, mbconv or module:function.")}))
    sampler: str = field(default="default", metadata=Option(
        help="default, random, tpe, evolution, ppo...", commands=SEARCHING, metavar="NAME", needs=(_SEARCHED,)))
    pruner: str = field(default="none", metadata=Option(
        help="Stop poor trials early: halving, hyperband.", commands=SEARCHING, metavar="NAME",
        needs=(_SEARCHED, _IMAGES, Without("epochs", (1,)))))
    score: str = field(default="soft", metadata=Option(
        help="How cost counts: soft, hard or absolute.", commands=SEARCHING, metavar="FORM", known=tuple(EXPONENTS),
        needs=(_SEARCHED,)))
    exponent: tuple[float, ...] | None = field(default=None, metadata=Option(
        help="Exponent of the cost, or two: below,above target.", commands=SEARCHING, metavar="W[,W]",
        form="a number, or two separated by a comma", range=Range(STEEPEST, 0),
        unset="soft: -0.07, absolute: -0.1", needs=(_SEARCHED,)))
    confirm: int = field(default=3, metadata=Option(
        help="Best candidates to retrain twice as long.", commands=SEARCHING, metavar="N",
        range=Range(0, 1000), needs=(_SEARCHED, _IMAGES)))
    confirm_seeds: int = field(default=3, metadata=Option(
        help="Seeds for each retrained candidate.", commands=SEARCHING, metavar="N", range=SEEDS,
        needs=(_SEARCHED, _IMAGES, Without("confirm", (0,)))))
    storage: str | None = field(default=None, metadata=Option(
        help="Database for a search on several machines.", commands=SEARCHING, metavar="URL", needs=(_SEARCHED,),
        secret=True))

    def __post_init__(self) -> None:
        check(self)
        if self.storage is not None:
            check_address(self.storage)
        if self.exponent is not None and self.score == "hard":
            raise ValueError("`score` hard has its own exponents (0 and -1): leave out `exponent`, or `score`")
        if self.exponent is not None and len(self.exponent) not in (1, 2):
            raise ValueError(f"`exponent` takes one number or two (below and above the target), not {self.exponent}")

    def score_at(self, target: float) -> Score:
        """The objective at a target. Raises ValueError on a target or exponent out of range."""
        below, *above = self.exponent or EXPONENTS[self.score]
        form = "absolute" if self.score == "absolute" else "power"
        return Score(target, below, above[0] if above else None, form)


@dataclass(frozen=True)
class FigureOptions:
    """What networks cost: the target, the bounds, and the figure that the score charges for."""

    target_macs: str = field(default="auto", metadata=Option(
        help="MACs to aim at.", commands=TRAINING, metavar="N|b0|auto", unit="multiply-adds",
        unset="auto: half-width EfficientNet-B0", needs=(Where("a network to fit"),),
        told={
            "scale": Meaning("Scale a known baseline to this many MACs."),
            "compare": Meaning("Scale known networks to this many MACs.", "the baseline's, else auto"),
            "fidelity": Meaning("Draw networks of about this many MACs."),
            "train": Meaning("Scale a known network to this many MACs.")}))
    max_macs: str | None = field(default=None, metadata=Option(
        help="Skip networks with more MACs.", commands=SEARCHING, metavar="N|b0|auto",
        unit="multiply-adds", needs=(_SEARCHED,)))
    max_ram: str | None = field(default=None, metadata=Option(
        help="Skip networks that need more RAM, such as 256k.", commands=SEARCHING, metavar="BYTES",
        unit="bytes (k: 1024, M: 1024 k), in int8 with --int8, else float32", needs=(_SEARCHED,)))
    max_flash: str | None = field(default=None, metadata=Option(
        help="Skip networks that need more flash, such as 1M.", commands=SEARCHING, metavar="BYTES",
        unit="bytes (k: 1024, M: 1024 k), in int8 with --int8, else float32", needs=(_SEARCHED,)))
    cost: str = field(default="macs", metadata=Option(
        help="Cost: macs, params, activations, latency.", commands=SEARCHING, metavar="NAME",
        needs=(_SEARCHED,), told={
            "discover": Meaning("Cost in the score: macs, params, activations, latency, a column of the table.")}))
    target_cost: float | None = field(default=None, metadata=Option(
        help="Target in units of --cost.", commands=SEARCHING, metavar="N", unset="a typical network's",
        range=Range(0, 1e15, above=True),
        needs=(_SEARCHED, Without("cost", ("macs",), because="that target is `target_macs`"))))
    max_cost: float | None = field(default=None, metadata=Option(
        help="Skip networks above this cost.", commands=SEARCHING, metavar="N",
        range=Range(0, 1e15, above=True), needs=(_SEARCHED,)))
    latency_backend: str = field(default="torch", metadata=Option(
        help="torch, onnxruntime.", commands=SEARCHING, metavar="NAME", known=("torch", "onnxruntime"),
        needs=_TIMED_HERE))
    latency_device: str = field(default="cpu", metadata=Option(
        help="Device to measure on.", commands=SEARCHING, metavar="NAME", needs=_TIMED_HERE))
    latency_batch: int = field(default=1, metadata=Option(
        help="Images per batch.", commands=SEARCHING, metavar="N", range=Range(1, 4096), needs=_TIMED))
    latency_samples: int = field(default=50, metadata=Option(
        help="Networks to time.", commands=SEARCHING, metavar="N", range=Range(10, 10_000), needs=_TIMED))
    latency_command: str | None = field(default=None, metadata=Option(
        help="Own command to time {onnx}.", commands=SEARCHING, metavar="CMD", needs=_TIMED))

    def __post_init__(self) -> None:
        check(self)
        for name in ("max_ram", "max_flash"):
            if (text := getattr(self, name)) is not None:
                parse_bytes(name, text)


@dataclass(frozen=True)
class GrowthOptions:
    """The search for scaling coefficients, and the scaling plot."""

    points: str = field(default="matched", metadata=Option(
        help="Layout: matched (equal cost) or nominal.", commands=GROWING, metavar="LAYOUT",
        known=("matched", "nominal"), aliases={"layout": "--points"}))
    rule: str = field(default="constant", metadata=Option(
        help="How the family grows: constant or adaptive.", commands=GROWING, metavar="RULE",
        known=("constant", "adaptive"), needs=(Without("plot_phi", (0,)),)))
    step: float = field(default=0.05, metadata=Option(
        help="Step of alpha, beta, gamma.", commands=GROWING, metavar="X", range=Range(0.01, 1),
        needs=(_NOMINAL,)))
    tolerance: float = field(default=0.1, metadata=Option(
        help="How far alpha * beta^2 * gamma^2 may be from 2.", commands=GROWING, metavar="X", range=Range(0, 1),
        needs=(_NOMINAL,)))
    seeds: int = field(default=3, metadata=Option(
        help="Seeds for each network of the grid.", commands=GROWING, metavar="N", range=SEEDS))
    lengths: tuple[int, ...] = field(default=(), metadata=Option(
        help="Train the grid for each of these numbers of epochs.", commands=GROWING, metavar="N[,N...]", unit="epochs",
        form="a list of numbers of epochs such as 5,10", range=EPOCHS, unset="--epochs, and twice that"))
    budget: str | None = field(default=None, metadata=Option(
        help="Trainings, or time: 90, 30m, 1.5h.", commands=GROWING, metavar="N|Nm|Nh", unset="all",
        unit="trainings or hours", told={
            "run": Meaning("Time (30m), or N trainings for scaling.", "no limit")}))
    grid: int | None = field(default=None, metadata=Option(
        help="Trainings for the grid, where a whole run has a time.", range=Range(1, LARGEST_BUDGET)))
    precision: float | None = field(default=None, metadata=Option(
        help="Stop at intervals this narrow.", commands=GROWING, metavar="SHARE", range=SHARE,
        needs=(With("budget"),)))
    plot_phi: float = field(default=2.0, metadata=Option(
        help="Scaling plot up to 2^PHI x baseline; 0: none.", commands=GROWING, metavar="PHI",
        range=Range(0, LARGEST_PHI)))
    plot_from: int = field(default=0, metadata=Option(
        help="Scaling plot from 2^PHI x baseline (PHI <= 0).", commands=GROWING, metavar="PHI",
        range=Range(SMALLEST_PHI, 0), needs=(Without("plot_phi", (0,)),)))

    def __post_init__(self) -> None:
        check(self)
        if self.budget is not None:
            parse_budget(self.budget)


@dataclass(frozen=True)
class FinalOptions:
    """The frontier: how its points are trained, and which there are."""

    final_epochs: int | None = field(default=None, metadata=Option(
        help="Epochs for the frontier.", commands=COMPARING, metavar="N", unit="epochs",
        range=EPOCHS, unset="2 x --epochs, at least 20"))
    final_seeds: int = field(default=3, metadata=Option(
        help="Seeds for each network of the frontier.", commands=COMPARING, metavar="N", range=SEEDS))
    family_phi: int = field(default=2, metadata=Option(
        help="Family members to train: up to 2^N x baseline.", commands=("run",), metavar="N",
        range=Range(0, LARGEST_PHI)))
    top: int = field(default=3, metadata=Option(
        help="Networks of the search on the frontier.", commands=("run",), metavar="N", range=Range(1, 1000),
        needs=(Where("a search"),)))
    rivals: bool = field(default=False, metadata=Option(
        help="Also train the baseline scaled in five other ways.",
        commands=("run",), needs=(Without("family_phi", (0,)),)))
    pretrained: tuple[str, ...] = field(default=(), metadata=Option(
        help="Also fine-tune this network; repeatable.", commands=(*COMPARING, "fidelity"),
        metavar="NAME[=FILE]", needs=(_IMAGES, Without("evaluator"))))
    teacher: str | None = field(default=None, metadata=Option(
        help="Also distil this model into the run's networks.", commands=COMPARING,
        metavar="MODEL|auto", needs=(_IMAGES, Without("evaluator"))))
    references: tuple[str, ...] = field(default=REFERENCES, metadata=Option(
        help="Known and plain networks on the frontier."))

    def __post_init__(self) -> None:
        check(self)


_BYTES = {"": 1, "k": 1024, "m": 1024**2}


def parse_bytes(option: str, text: str) -> int:
    """`300000` is so many bytes, `256k` 256 times 1024 and `1M` 1024 times as many as `1k`; raises ValueError, naming
    the option, on anything else."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{,6})?)([kKmM]?)", text)
    size = float(found[1]) * _BYTES[found[2].lower()] if found else 0.0
    if not 1 <= size <= MOST_BYTES:
        raise ValueError(f"`{option}` takes bytes such as 262144, 256k or 1M (at most {MOST_BYTES:.0e}), not {text!r}")
    return int(size)


MOST_BYTES = 10**12
@dataclass(frozen=True)
class Budget:
    """What a coefficient search may spend on its grid: a number of trainings, or hours on all devices together."""

    trainings: int | None = None
    hours: float | None = None

    def part(self, of: int) -> Budget:
        """The budget of one of so many equal parts."""
        return Budget(
            None if self.trainings is None else self.trainings // of, None if self.hours is None else self.hours / of
        )


def parse_budget(text: str) -> Budget:
    """`90` is 90 trainings, `1.5h` an hour and a half, `30m` half an hour. Raises ValueError on anything else."""
    number = text.strip().lower()
    try:
        if number.endswith(("h", "m")):
            budget = Budget(hours=float(number[:-1]) / (1 if number.endswith("h") else 60))
        else:
            budget = Budget(trainings=int(number))
    except ValueError:
        raise ValueError(
            f"`budget` takes a number of trainings such as 90, or time such as 30m or 1.5h, not {text!r}"
        ) from None
    if not 0 < (budget.trainings or budget.hours or 0) <= LARGEST_BUDGET:
        raise ValueError(f"`budget` must be above 0 and at most {LARGEST_BUDGET}, not {text}")
    return budget
