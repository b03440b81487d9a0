"""run.json: what was asked of a run, of which data, by which versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.records.record import Record
from experiments.records.values import ABSENT, Count, Scalar, plain, read_value
from experiments.wording import measured_by
from nas.score import Score


@dataclass(frozen=True)
class DataFacts:
    """The data set: images by split, at their own and at the cached size in pixels; or the rows of a table."""

    name: str | None = field(default=None, metadata=ABSENT)
    fingerprint: str | None = field(default=None, metadata=ABSENT)
    classes: tuple[str, ...] | None = field(default=None, metadata=ABSENT)
    images: Mapping[str, Count] | None = field(default=None, metadata=ABSENT)
    native_size: Count | None = field(default=None, metadata=ABSENT)
    cached_size: Count | None = field(default=None, metadata=ABSENT)
    rows: Count | None = field(default=None, metadata=ABSENT)

    @property
    def num_classes(self) -> int | None:
        """None where it is not known."""
        return len(self.classes) if self.classes else None

    @property
    def train_images(self) -> int | None:
        return (self.images or {}).get("train")


@dataclass(frozen=True)
class SpaceFacts:
    """A search space. fitted_to: MACs; size: of its encodings; of a space of stages also the network it is around."""

    name: str
    fitted_to: Count
    size: Count
    base_blocks: str | None = field(default=None, metadata=ABSENT)
    strides: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class CostFacts:
    """What the score charges for: a name, words and unit for people, and all that a figure depends on."""

    name: str = "macs"
    words: str = ""
    unit: str = ""
    how: str = ""


@dataclass(frozen=True)
class StepSettings:
    """Those settings of a step that are read back; None where an older run does not tell."""

    seed: Count | None = None
    trials: Count | None = None
    epochs: Count | None = None
    final_epochs: Count | None = None
    space: str | None = None
    storage: str | None = None
    arch: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StepFacts:
    """A step's latest start: the command, the time, and what it was asked for."""

    command: str
    started: str
    settings: StepSettings = field(default_factory=StepSettings)


@dataclass(frozen=True)
class Surroundings:
    """What a run is made by: versions of packages, the code's revision (None: not a checkout), the machine."""

    versions: Mapping[str, str]
    git_revision: str | None
    machine: str


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """All that run.json tells; of a new folder nothing.

    identity: what decides whether the trials of the folder may be used. content: the file as it is, in its order, with
    the settings that are not read back.
    """

    FILE = "run.json"
    WHAT = "the record of a run"
    MEND = "mend it, or put a copy from before in its place"

    created: str | None = field(default=None, metadata=ABSENT)
    updated: str | None = field(default=None, metadata=ABSENT)
    data: DataFacts = field(default_factory=DataFacts)
    devices: tuple[str, ...] = ()
    space: SpaceFacts | None = field(default=None, metadata=ABSENT)
    score: Score | None = field(default=None, metadata=ABSENT)
    cost: CostFacts = field(default_factory=CostFacts)
    identity: Mapping[str, Scalar] = field(default_factory=dict)
    steps: Mapping[str, StepFacts] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    git_revision: str | None = None
    machine: str | None = None
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, value: Any) -> RunRecord:
        known: RunRecord = read_value(cls, {**value, "content": value} if isinstance(value, dict) else value)
        return known

    def to_json(self) -> Any:
        return dict(self.content)

    @property
    def train_fraction(self) -> float:
        """The share of the training images that the search's trainings see, 0..1."""
        share = self.identity.get("train fraction")
        return share if isinstance(share, int | float) else 1.0

    @property
    def epochs(self) -> int | None:
        """Of the folder's short trainings, as its search or another step was begun with; None where nobody said."""
        epochs = self.identity.get("epochs")
        if isinstance(epochs, int):
            return epochs
        asked = (step.settings.epochs for step in self.steps.values())
        return next((epochs for epochs in asked if epochs is not None), None)

    @property
    def growth(self) -> str:
        """The rule of scale_arch by which networks grow at equal cost: "thrifty", or "matched" where an earlier version
        began to grow some."""
        rule = self.identity.get("growth")
        if rule in ("matched", "thrifty"):
            return str(rule)
        return "matched" if {"scale", "compare"} & set(self.steps) else "thrifty"

    @property
    def final_epochs(self) -> int | None:
        """Of the folder's frontier; None where it has none."""
        epochs = self.identity.get("final epochs")
        return epochs if isinstance(epochs, int) else None

    @property
    def space_name(self) -> str | None:
        """Of the folder's search space, as its search or another step was begun with; None where nobody said."""
        if self.space is not None:
            return self.space.name
        asked = (step.settings.space for step in self.steps.values())
        return next((space for space in asked if space is not None), None)

    @property
    def measured(self) -> str:
        """What the values of the folder's trainings are, in words, such as `accuracy` or `macro f1`."""
        recipe = self.identity.get("recipe")
        return measured_by(recipe if isinstance(recipe, str) else "")

    def asked(self, step: str) -> StepSettings:
        """What a step was asked for; nothing where it was not begun."""
        return self.steps[step].settings if step in self.steps else StepSettings()

    def claimed(
        self,
        step: str,
        asked: Mapping[str, Any],
        identity: Mapping[str, Scalar],
        facts: Mapping[str, Any],
        surroundings: Surroundings,
    ) -> RunRecord:
        """The record when a step begins: `asked` is the step's entry with command, time and settings. What the file
        had already keeps its place."""
        before = self.content
        return RunRecord.from_json({
            **before,
            "created": before.get("created", asked["started"]),
            "updated": asked["started"],
            **plain(facts),
            "identity": {**before.get("identity", {}), **identity},
            "steps": {**before.get("steps", {}), step: plain(asked)},
            **plain(surroundings),
        })  # fmt: skip
