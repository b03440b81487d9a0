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

REFERENCES = ("plain_resnet", "plain_mbconv", "resnet20", "mobilenet_v2", "mnasnet_a1", "efficientnet_b0")
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
            "run": Meaning("Network to use as the baseline; skips the search."),
            "scale": Meaning("The baseline to scale.", "the run's, else efficientnet_b0"),
            "compare": Meaning("A network to train; repeatable.", "the run's baseline and known ones"),
            "fidelity": Meaning("A network to rank beside those drawn; repeatable.")}))
    tensorboard: bool = field(default=False, metadata=Option(
        help="Log to DIR/tensorboard, for TensorBoard to show.", commands=TRAINING))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DataOptions:
    """Images, or a published table in their place (`benchmark`)."""

    benchmark: str | None = field(default=None, metadata=Option(
        help="Search a published table (CSV) in place of DATA.", commands=("discover",), metavar="FILE"))
    resolution: str = field(default="auto", metadata=Option(
        help="Image size; max:N: searched, at most N.", commands=TRAINING, metavar="N|max:N|auto", unit="pixels",
        needs=(_IMAGES,),
        told={"compare": Meaning("Input size of known networks."), "train": Meaning("Input size of a known network.")}))
    train_images: int | None = field(default=None, metadata=Option(
        help="Use at most N training images.", commands=TRAINING, metavar="N", range=Range(2, 10**9), unset="all",
        needs=(_IMAGES,)))
    group: str | None = field(default=None, metadata=Option(
        help="Images whose match is equal stay in one split.", commands=TRAINING, metavar="REGEX",
        needs=(_IMAGES, Where("files"))))
    crop: str = field(default="center", metadata=Option(
        help="Make images square: center, pad, stretch.", commands=TRAINING, metavar="NAME",
        known=("center", "pad", "stretch"), needs=(_IMAGES, Where("files"))))
    grey: bool = field(default=False, metadata=Option(
        help="Convert images to one grey channel.", commands=TRAINING, needs=(_IMAGES, Where("files"))))
    no_flip: bool = field(default=False, metadata=Option(
        help="Never mirror images, as for text or signs.", commands=TRAINING, needs=(_IMAGES, Where("files"))))
    max_unreadable: float = field(default=0.01, metadata=Option(
        help="Stop if a larger share of files is bad.", commands=TRAINING, metavar="SHARE", range=Range(0, 1),
        needs=(_IMAGES, Where("files"))))
    cache: str | None = field(default=None, metadata=Option(
        help="Folder for decoded images.", commands=TRAINING, metavar="DIR", unset="cache/ in --run", needs=(_IMAGES,)))

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
        help="Parallel trainings.", commands=POOLED, metavar="N", range=Range(1, 4096),
        unset="measured; CPU: one per core", needs=(Without("executor", ("inline",)), _IMAGES)))
    per_device: int | None = field(default=None, metadata=Option(
        help="Parallel trainings per device.", commands=POOLED, metavar="N", range=Range(1, 256),
        unset="measured", needs=(Without("executor", ("inline",)), _IMAGES, Where("devices to share"))))
    executor: str = field(default="local", metadata=Option(
        help="Where: local, inline (this process), ray.", commands=POOLED, metavar="NAME",
        known=("local", "inline", "ray"), needs=(_IMAGES,), aliases={"InlineExecutor": "--executor inline"}))
    ray_address: str | None = field(default=None, metadata=Option(
        help="Ray cluster to use, or auto.", commands=POOLED, metavar="ADDRESS", unset="starts one here",
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
        help="Epochs per trial.", commands=PROXIED, metavar="N", unit="epochs", range=EPOCHS,
        unset="3 to 20, more for few images",
        needs=(_IMAGES, _FITTED, Where("lengths left open")), told={
            "discover": Meaning("Epochs per trial."),
            "scale": Meaning("Train the grid for N and for 2 N epochs."),
            "compare": Meaning("Epochs of short trainings that choose a fit."),
            "fidelity": Meaning("Epochs of the short training to judge.")}))
    train_fraction: float = field(default=1.0, metadata=Option(
        help="Share of training images in short trainings.", commands=PROXIED, metavar="SHARE", range=SHARE,
        needs=(_IMAGES, _FITTED)))
    inherit: str | None = field(default=None, metadata=Option(
        help="Begin with parts of this pretrained network.", commands=POOLED,
        metavar="NAME[=FILE]", needs=(_IMAGES, Without("evaluator"))))
    metric: str = field(default="accuracy", metadata=Option(
        help="accuracy, balanced_accuracy, macro_f1 or int8.", commands=TRAINING, metavar="NAME",
        known=("accuracy", "balanced_accuracy", "macro_f1", "int8"), needs=(_IMAGES, Without("evaluator")), told={
            "train": Meaning("balanced_accuracy or macro_f1.")}))
    int8: bool = field(default=False, metadata=Option(
        help="Also measure accuracies in int8.", commands=("run", "discover", "compare"),
        needs=(_IMAGES, Without("evaluator"), Without("metric", ("int8",), because="all accuracies are in int8"),
               Where("something in int8")), told={
            "run": Meaning("Count memory in int8; also test int8 accuracy."),
            "discover": Meaning("Count memory in int8; also test int8 accuracy.")}))
    class_weights: bool = field(default=False, metadata=Option(
        help="Weight all classes equally in the loss.", commands=TRAINING, needs=(_IMAGES, Without("evaluator"))))
    plain: bool = field(default=False, metadata=Option(
        help="Do not use the compiled kernels (slower).", commands=TRAINING,
        needs=(_IMAGES, Without("evaluator"), Where("a CPU"))))
    numerics: str = field(default="float32", metadata=Option(
        help="On GPUs: float32, tf32, bfloat16.", commands=TRAINING, metavar="NAME",
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
        help="random, tpe, evolution, ppo, ...", commands=SEARCHING, metavar="NAME", needs=(_SEARCHED,)))
    pruner: str = field(default="none", metadata=Option(
        help="Stop poor trials by halving or hyperband.", commands=SEARCHING, metavar="NAME",
        needs=(_SEARCHED, _IMAGES, Without("epochs", (1,)))))
    score: str = field(default="soft", metadata=Option(
        help="Cost penalty: soft, hard or absolute.", commands=SEARCHING, metavar="FORM", known=tuple(EXPONENTS),
        needs=(_SEARCHED,)))
    exponent: tuple[float, ...] | None = field(default=None, metadata=Option(
        help="Penalty exponent, or two: below,above target.", commands=SEARCHING, metavar="W[,W]",
        form="a number, or two separated by a comma", range=Range(STEEPEST, 0),
        unset="soft: -0.07, absolute: -0.1", needs=(_SEARCHED,)))
    confirm: int = field(default=3, metadata=Option(
        help="Best candidates to retrain with new seeds.", commands=SEARCHING, metavar="N", range=Range(0, 1000),
        needs=(_SEARCHED, _IMAGES)))
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
        unset="auto: B0 at half width", needs=(Where("a network to fit"),),
        told={
            "scale": Meaning("Scale a known baseline to this many MACs."),
            "compare": Meaning("Scale known networks to this many MACs.", "the baseline's, else auto"),
            "fidelity": Meaning("Draw networks of about this many MACs."),
            "train": Meaning("Scale a known network to this many MACs.")}))
    max_macs: str | None = field(default=None, metadata=Option(
        help="Skip networks with more MACs.", commands=SEARCHING, metavar="N|b0|auto",
        unit="multiply-adds", needs=(_SEARCHED,)))
    max_ram: str | None = field(default=None, metadata=Option(
        help="Skip if peak RAM is above this, such as 256k.", commands=SEARCHING, metavar="BYTES",
        unit="bytes (k: 1024, M: 1024 k), in int8 with --int8, else float32", needs=(_SEARCHED,)))
    max_flash: str | None = field(default=None, metadata=Option(
        help="Skip if weights are above this, such as 1M.", commands=SEARCHING, metavar="BYTES",
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
        help="torch or onnxruntime.", commands=SEARCHING, metavar="NAME", known=("torch", "onnxruntime"),
        needs=_TIMED_HERE))
    latency_device: str = field(default="cpu", metadata=Option(
        help="Device to measure on.", commands=SEARCHING, metavar="NAME", needs=_TIMED_HERE))
    latency_batch: int = field(default=1, metadata=Option(
        help="Images per batch.", commands=SEARCHING, metavar="N", range=Range(1, 4096), needs=_TIMED))
    latency_samples: int = field(default=50, metadata=Option(
        help="Networks to time first.", commands=SEARCHING, metavar="N", range=Range(10, 10_000), needs=_TIMED))
    latency_command: str | None = field(default=None, metadata=Option(
        help="Command that times {onnx}.", commands=SEARCHING, metavar="CMD", needs=_TIMED))

    def __post_init__(self) -> None:
        check(self)
        for name in ("max_ram", "max_flash"):
            if (text := getattr(self, name)) is not None:
                parse_bytes(name, text)


@dataclass(frozen=True)
class GrowthOptions:
    """The search for scaling coefficients, and the scaling plot."""

    points: str = field(default="matched", metadata=Option(
        help="Grid: matched (equal costs), nominal.", commands=GROWING, metavar="LAYOUT", known=("matched", "nominal"),
        aliases={"layout": "--points"}))
    step: float = field(default=0.05, metadata=Option(
        help="Step of alpha, beta, gamma in the grid.", commands=GROWING, metavar="X", range=Range(0.01, 1),
        needs=(_NOMINAL,)))
    tolerance: float = field(default=0.1, metadata=Option(
        help="Allowed error of alpha * beta^2 * gamma^2 = 2.", commands=GROWING, metavar="X", range=Range(0, 1),
        needs=(_NOMINAL,)))
    seeds: int = field(default=3, metadata=Option(
        help="Seeds for each network of the grid.", commands=GROWING, metavar="N", range=SEEDS))
    lengths: tuple[int, ...] = field(default=(), metadata=Option(
        help="Epochs in the grid.", commands=GROWING, metavar="N[,N...]", unit="epochs",
        form="a list of numbers of epochs such as 5,10", range=EPOCHS, unset="--epochs, and twice that"))
    budget: str | None = field(default=None, metadata=Option(
        help="Trainings, or time: 90, 30m, 1.5h.", commands=GROWING, metavar="N|Nm|Nh", unset="all",
        unit="trainings or hours", told={
            "run": Meaning("Time for all steps: 30m, 2h.", "no limit")}))
    grid: int | None = field(default=None, metadata=Option(
        help="Trainings for the grid, where a whole run has a time.", range=Range(1, LARGEST_BUDGET)))
    precision: float | None = field(default=None, metadata=Option(
        help="Stop at intervals this narrow.", commands=GROWING, metavar="SHARE", range=SHARE,
        needs=(With("budget"),)))
    plot_phi: float = field(default=2.0, metadata=Option(
        help="Scaling plot up to 2^PHI x the cost; 0: none.", commands=GROWING, metavar="PHI",
        range=Range(0, LARGEST_PHI)))
    plot_from: int = field(default=0, metadata=Option(
        help="Scaling plot from 2^PHI x the cost; -2: 1/4.", commands=GROWING, metavar="PHI",
        range=Range(SMALLEST_PHI, 0), needs=(Without("plot_phi", (0,)),)))

    def __post_init__(self) -> None:
        check(self)
        if self.budget is not None:
            parse_budget(self.budget)


@dataclass(frozen=True)
class FinalOptions:
    """The frontier: how its points are trained, and which there are."""

    final_epochs: int | None = field(default=None, metadata=Option(
        help="Epochs of each final training.", commands=COMPARING, metavar="N", unit="epochs",
        range=EPOCHS, unset="20"))
    final_seeds: int = field(default=3, metadata=Option(
        help="Seeds for each final training.", commands=COMPARING, metavar="N", range=SEEDS))
    family_phi: int = field(default=2, metadata=Option(
        help="Train the family up to 2^N times the cost.", commands=("run",), metavar="N", range=Range(0, LARGEST_PHI)))
    top: int = field(default=3, metadata=Option(
        help="Best networks of the search to train in full.", commands=("run",), metavar="N", range=Range(1, 1000),
        needs=(Where("a search"),)))
    rivals: bool = field(default=False, metadata=Option(
        help="Also train five other scalings of the baseline.",
        commands=("run",), needs=(Without("family_phi", (0,)),)))
    pretrained: tuple[str, ...] = field(default=(), metadata=Option(
        help="Also fine-tune this network; may be repeated.", commands=(*COMPARING, "fidelity"),
        metavar="NAME[=FILE]", needs=(_IMAGES, Without("evaluator"))))
    teacher: str | None = field(default=None, metadata=Option(
        help="Also let our networks imitate this teacher.", commands=COMPARING,
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
