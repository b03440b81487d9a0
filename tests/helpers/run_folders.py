"""Run folders made up for tests of what people see: real files and journals, invented accuracies, nothing trained."""

from __future__ import annotations

import dataclasses
import json
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
from optuna.trial import TrialState, create_trial

from experiments.tables.frontier import measured_point, points_csv
from nas.evaluation import Failure, Fidelity, Outcome, Request
from nas.score import Score
from nas.study.attributes import outcome_attrs, request_attrs
from nas.study.journal import batch
from nas.study.store import open_study
from search_spaces import SearchSpace, mnasnet_space, network_cost

ODD = '<script>alert("1")</script> \'"&amp;\u2028\n$x^$'
SPACE = mnasnet_space(1e6, 8, num_classes=10)


def made_up_run(folder: Path, trials: int, *, name: str = "digits", space: SearchSpace = SPACE) -> Path:
    """A run folder with so many finished trials (every 40th failed), a baseline and a frontier of six points."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    score = Score(1e6)
    study = open_study(folder / "discover.journal", "discover", score=score)
    best, drawn = None, []
    with batch(study):
        for number, row in enumerate(space.sample(rng, trials)):
            params = space.params(row)
            arch = space.decode(params)
            cost = network_cost(arch, None, 10)
            counted = {"macs": cost.macs, "params": cost.params}
            request = Request(arch, Fidelity(2), 0)
            accuracy = 0.3 + 0.1 * np.log10(cost.macs / 1e5) + zlib.crc32(arch.id.encode()) / 2**32 / 5
            failed = number % 40 == 39
            outcome = (
                Outcome(failure=Failure("oom", f"no memory left: {name}"), seconds=1.5, device="cpu")
                if failed
                else Outcome(accuracy=float(accuracy), seconds=2.5, device="cpu", curve=(float(accuracy),))
            )
            value = None if failed else score(float(accuracy), cost.macs)
            study.add_trial(create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE, value=value, params=params,
                distributions=space.distributions(),
                user_attrs={**request_attrs(request, counted), **outcome_attrs(outcome)},
            ))  # fmt: skip
            if value is not None:
                drawn.append((value, arch, float(accuracy)))
    drawn.sort(key=lambda each: -each[0])
    now = datetime(2026, 1, 2).isoformat()
    settings = {"trials": trials, "epochs": 2}
    classes = [name, *map(str, range(9))]
    record = {
        "created": now, "updated": now, "identity": {"seed": 0, "train fraction": 1.0}, "devices": ["cpu"],
        "data": {"name": name, "classes": classes, "images": {"train": 1000, "val": 100, "test": 100}},
        "score": dataclasses.asdict(score), "versions": {"torch": "2"},
        "steps": {"discover": {"command": f"scalenas run '{name}'", "started": now, "settings": settings}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    if drawn:
        value, best, accuracy = drawn[0]
        cost = network_cost(best, None, 10)
        baseline = {
            "id": best.id, "accuracy": accuracy, "accuracy_std": 0.01, "n": 2, "split": "val", "macs": cost.macs,
            "params": cost.params, "score": value, "num_classes": 10, "arch": dataclasses.asdict(best),
        }  # fmt: skip
        (folder / "baseline.json").write_text(json.dumps(baseline))
        roles = ("baseline", "family", "family", "reference", "reference", "candidate")
        points = [
            measured_point(f"{name} {i}", role, arch, [accuracy, accuracy + 0.02], run=folder.name, data=name,
                           split="test", epochs=3, recipe="fast", num_classes=10)
            for i, (role, (_, arch, accuracy)) in enumerate(zip(roles, drawn, strict=False))
        ]  # fmt: skip
        (folder / "frontier.csv").write_text(points_csv(points), errors="backslashreplace")
    return folder
