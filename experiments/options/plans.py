"""What is asked of one command alone: of a full training, and of the check of short ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.options.declaration import EPOCHS, MOST_SEEDS, SEEDS, SHARE, Option, Range, With, check

FULL_EPOCHS = {"fast": 100, "paper": 350, "fine_tune": 20}
"""The recipes of nas.training.recipe with their full lengths; those load torch, for which help should not wait."""
KEEP = ("best", "last")
SCRATCH = "scratch"
"""The end of a `fidelity` that begins without given weights."""
LONG_SEEDS = MOST_SEEDS
"""Seeds of the long trainings of a check are counted from here, so that they share none with the short ones."""

_TUNED = (With("weights"),)

# One option is a paragraph:
# fmt: off


@dataclass(frozen=True)
class TrainPlan:
    """What is asked of a training. Raises ValueError on a value out of its range.

    epochs: None for the recipe's full length. keep: the weights of the "best" epoch on val, or the "last". weights: a
    file to start from; body_rate: then the factor on the learning rate of all but the classifier (None: 1), or
    freeze_body to leave that as it is; new_head: a fresh classifier even where the file's would fit. normalise: see
    `normalisation`; None: as the weights say, else by the data.
    """

    recipe: str = field(default="fast", metadata=Option(
        help="fast, paper or fine_tune.", metavar="NAME", known=tuple(FULL_EPOCHS)))
    epochs: int | None = field(default=None, metadata=Option(
        help="Number of epochs.", metavar="N", unit="epochs", range=EPOCHS,
        unset=", ".join(f"{name}: {epochs}" for name, epochs in FULL_EPOCHS.items())))
    keep: str = field(default="best", metadata=Option(
        help="Weights of the best epoch on val, or the last.", metavar="WHICH", known=KEEP))
    weights: str | None = field(default=None, metadata=Option(
        help="Start from these (.safetensors, .pth).", metavar="FILE"))
    body_rate: float | None = field(default=None, metadata=Option(
        help="Learning rate of all but the classifier.", metavar="SHARE", needs=_TUNED, unset="1",
        range=Range(0, 1, above=True, hint="see `freeze_body`")))
    freeze_body: bool = field(default=False, metadata=Option(
        help="Train only the classifier.", needs=_TUNED))
    new_head: bool = field(default=False, metadata=Option(
        help="A new classifier even where the file's fits.", needs=_TUNED))
    normalise: str | None = field(default=None, metadata=Option(
        help="Images by imagenet, data or MEAN/STD.", metavar="HOW", unset="as the weights expect, or data"))

    def __post_init__(self) -> None:
        check(self)
        if self.normalise is not None:
            normalisation(self.normalise)
        if self.body_rate is not None and self.freeze_body:
            raise ValueError("`body_rate` and `freeze_body` exclude each other: a frozen body does not learn")

    @property
    def rate_factor(self) -> float:
        """The factor on the learning rate of all but the classifier."""
        return 1.0 if self.body_rate is None else self.body_rate


@dataclass(frozen=True)
class FidelityPlan:
    """What is asked of the check. Raises ValueError on a value out of its range.

    candidates: drawn from the space. fidelity: further short trainings beside the run's own, see `short_training`.
    seeds: of each short training, final_seeds: of the long one, of final_epochs (None: 8 times the images of the
    longest short one). bar: the least tau of a fidelity that is recommended.
    """

    candidates: int = field(default=20, metadata=Option(
        help="Networks drawn from the space.", metavar="N", range=Range(0, 10_000)))
    fidelity: tuple[str, ...] = field(default=(), metadata=Option(
        help="A further short training, as 3:0.5; repeatable.", metavar="EPOCHS[:SHARE[:scratch]]"))
    seeds: int = field(default=2, metadata=Option(
        help="Seeds of each short training.", metavar="N", range=SEEDS))
    final_epochs: int | None = field(default=None, metadata=Option(
        help="Epochs of the long one.", metavar="N", unit="epochs", range=EPOCHS, unset="8 x the short ones'"))
    final_seeds: int = field(default=1, metadata=Option(
        help="Seeds of the long training.", metavar="N", range=SEEDS))
    bar: float = field(default=0.7, metadata=Option(
        help="Least tau of a fidelity to recommend.", metavar="TAU", range=Range(0, 1, above=True, below=True)))

    def __post_init__(self) -> None:
        check(self)
        for text in self.fidelity:
            short_training(text)


def normalisation(text: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation of each channel, in 0..1, of `imagenet` or numbers such as 0.5,0.5,0.4/0.25 (one for
    all channels, or one for each); None for `data`: those of the training images. Raises ValueError on anything else.
    """
    if text == "data":
        return None
    if text == "imagenet":
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mean, _, std = text.partition("/")
    try:
        numbers = tuple(tuple(map(float, part.split(","))) for part in (mean, std))
    except ValueError:
        raise ValueError(f"`normalise` takes imagenet, data or MEAN/STD such as 0.5/0.25, not {text[:60]!r}") from None
    if not all(0 <= each <= 1 for each in numbers[0]) or not all(each in SHARE for each in numbers[1]):
        raise ValueError(f"`normalise` needs means from 0 to 1 and deviations {SHARE.words}, not {text[:60]}")
    return numbers[0], numbers[1]


def short_training(text: str) -> tuple[int, float, bool]:
    """Epochs, share of the images, and whether it begins from scratch: `3` is 3 epochs, `3:0.5` 3 epochs of half the
    images, `3:1:scratch` 3 epochs without the weights of --inherit. Raises ValueError on anything else."""
    epochs, share, way = (*text.split(":", 2), "", "")[:3]
    try:
        fidelity = int(epochs), float(share or 1), way == SCRATCH
    except ValueError:
        fidelity = None
    if fidelity is None or way not in ("", SCRATCH):
        raise ValueError(f"`fidelity` takes EPOCHS, EPOCHS:SHARE or EPOCHS:SHARE:{SCRATCH} such as 3:0.5, not {text!r}")
    if fidelity[0] not in EPOCHS or fidelity[1] not in SHARE:
        raise ValueError(f"`fidelity` needs epochs {EPOCHS.words} and a share {SHARE.words}, not {text}")
    return fidelity
