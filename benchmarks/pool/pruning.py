"""What stopping trials early saves and costs: searches played back from recorded learning curves.

    python -m benchmarks.pool.pruning record RUN     (RUN: a finished search without a pruner; keeps its curves)
    python -m benchmarks.pool.pruning play           (prints the table of docs/pool.md)

Each simulated search draws its trials from the recorded ones, with replacement, in random order, and goes through the
search loop of the package itself, one trial at a time: with a pruner and without, over the same draws. A trial's score
is that of its recorded training (accuracy traded against MACs); a trial that is drawn twice counts as two networks.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from benchmarks.rows import read_rows
from nas.evaluation import Fidelity, Outcome, Report, Request
from nas.figures import Figure, Parameters
from nas.pool.inline import InlineExecutor
from nas.score import Score
from nas.search import SearchPlan, discover
from nas.study.pruning import make_pruner
from nas.study.store import read_study
from search_spaces import ArchSpec, Choice, SearchSpace, StageSpec

RESULTS = Path(__file__).parents[1] / "results" / "learning_curves.csv"
FIELDS = ("number", "macs", "params", "target_macs", "curve")
TRIALS = 60


@dataclass(frozen=True)
class Recorded:
    """One training: MACs, the score's target, and val accuracy after each epoch."""

    macs: int
    target: float
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Playback:
    """Answers a request by the curve that its network stands for: the network of trial i has i + 1 channels."""

    drawn: tuple[Recorded, ...]

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        done = 0
        for epoch, accuracy in enumerate(self.of(request.arch).curve, 1):
            done = epoch
            if not report(epoch, accuracy):
                break
        return Outcome(accuracy=self.of(request.arch).curve[done - 1], seconds=float(done))

    def of(self, arch: ArchSpec) -> Recorded:
        return self.drawn[arch.stages[0].channels - 1]


@dataclass(frozen=True)
class RecordedMacs(Figure):
    """Multiply-adds of the networks that were trained."""

    playback: Playback
    name = "macs"
    words = "multiply-adds of recorded trainings"

    def of(self, arch: ArchSpec) -> int:
        return self.playback.of(arch).macs


class InOrder(optuna.samplers.RandomSampler):
    """Trial i is the network of i + 1 channels."""

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:  # noqa: ARG002
        return trial.number + 1


@dataclass(frozen=True)
class Played:
    """What a search came to: epochs trained, and the best score in points among trials trained to the end."""

    epochs: int
    best: float
    stopped: int


def play(drawn: tuple[Recorded, ...], pruner: BasePruner | None, name: str) -> Played:
    """One search over the drawn trainings. name: of its study, by which Hyperband divides trials among brackets."""
    playback = Playback(drawn)
    epochs = len(drawn[0].curve)
    score = Score(drawn[0].target)
    sampler = InOrder(seed=0)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=sampler)
    space = SearchSpace("recorded", (Choice("channels", tuple(range(1, len(drawn) + 1))),), _decode)
    figures = (RecordedMacs(playback), Parameters())
    plan = SearchPlan(space, score, Fidelity(epochs), len(drawn), figures, pruner=pruner)
    discover(plan, sampler, InlineExecutor(playback), study)
    values = [t.value for t in study.trials if t.state == TrialState.COMPLETE and t.value is not None]
    spent = sum(len(trial.intermediate_values) for trial in study.trials)
    return Played(spent, 100 * max(values), len(drawn) - len(values))


def _decode(params: Mapping[str, Any]) -> ArchSpec:
    return ArchSpec(stages=(StageSpec(channels=params["channels"]),))


def pruners(epochs: int) -> dict[str, BasePruner | None]:
    """Those of the command, and others for comparison."""
    found: dict[str, BasePruner | None] = {
        f"--pruner {n}": make_pruner(n, epochs) for n in ("none", "halving", "hyperband")
    }
    for factor in (2, 4):
        found[f"halving, factor {factor}"] = SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    found["halving, from epoch 2"] = SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    found["hyperband, factor 2"] = HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=2)
    return found


def read_curves() -> tuple[Recorded, ...]:
    """The recorded trainings."""
    return tuple(
        Recorded(int(row["macs"]), float(row["target_macs"]), tuple(map(float, row["curve"].split())))
        for row in read_rows(RESULTS)
    )


def record(args: argparse.Namespace) -> None:
    """Write the curves of a run's finished trials."""
    study = read_study(Path(args.run) / "discover.journal", "discover")
    target = study.user_attrs["score"]["target_macs"]
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for trial in study.get_trials(states=(TrialState.COMPLETE,)):
            attrs = trial.user_attrs
            curve = " ".join(f"{accuracy:.5f}" for accuracy in attrs["curve"])
            writer.writerow([trial.number, attrs["macs"], attrs["params"], target, curve])


def tables(args: argparse.Namespace) -> None:
    """Play all pruners over the same draws and print a Markdown table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recorded = read_curves()
    epochs = len(recorded[0].curve)
    print(f"{len(recorded)} recorded trainings of {epochs} epochs, searches of {TRIALS} trials, n = {args.seeds}\n")
    print("| pruner | epochs, share | stopped | best score, points (SE) | less than without (SE of the pairs) |")
    print("|---|---|---|---|---|")
    plain: list[Played] = []
    for name in pruners(epochs):
        found = []
        for seed in range(args.seeds):
            rows = np.random.default_rng(seed).integers(0, len(recorded), TRIALS)
            drawn = tuple(recorded[row] for row in rows)
            found.append(play(drawn, pruners(epochs)[name], f"{name} {seed}"))
        plain = plain or found
        share = statistics.fmean(each.epochs for each in found) / (TRIALS * epochs)
        losses = [before.best - after.best for before, after in zip(plain, found, strict=True)]
        stopped = statistics.fmean(each.stopped for each in found)
        best = _mean([each.best for each in found])
        print(f"| {name} | {100 * share:.0f} % | {stopped:.0f} | {best} | {_mean(losses)} |")


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ({statistics.stdev(values) / len(values) ** 0.5:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    recorder = commands.add_parser("record")
    recorder.add_argument("run")
    recorder.set_defaults(command=record)
    player = commands.add_parser("play")
    player.add_argument("--seeds", type=int, default=20)
    player.set_defaults(command=tables)
    args = parser.parse_args()
    args.command(args)


if __name__ == "__main__":
    main()
