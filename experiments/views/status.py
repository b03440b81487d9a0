"""Where a run stands, read from its folder without touching it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import Any

import optuna
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from experiments.errors import UserError
from experiments.records import BaselineRecord, CoefficientsRecord, TrainingRecord
from experiments.records.values import plain
from experiments.run.folder import STUDIES, RunFolder
from nas.study.attributes import measured, stored_request
from nas.study.store import driver_lives, read_study

_BEST = "best single training"


def run_status(folder: RunFolder) -> dict[str, Any]:
    """The state of each study, the best trial so far, what its values are, and which results are there. Trials that no
    driver runs any more are `left`; of a search that drivers share it is not known who runs them."""
    record = folder.read()
    lives = driver_lives(folder.path)  # asked first: what it finishes meanwhile is read as finished
    baseline, growth = folder.find(BaselineRecord), folder.find(CoefficientsRecord)
    return {
        "run": str(folder.path),
        "data": record.data.name,
        "metric": record.measured,
        "updated": record.updated,
        "at_work": lives,
        "asked_trials": record.asked("discover").trials,
        "studies": {
            name: _study(folder, name, lives or record.asked(name).storage is not None)
            for name in STUDIES
            if folder.journal(name).exists()
        },
        "baseline": _parts(baseline, "id", "accuracy", "macs", "params", "score"),
        "coefficients": None if growth is None else _parts(growth.finding, "alpha", "beta", "gamma"),
        "frontier": (folder.path / "frontier.csv").exists(),
        "train": _parts(folder.find(TrainingRecord), "accuracy", "measured", "epochs", "recipe", "macs", "params"),
    }


def status_table(status: dict[str, Any]) -> Table:
    """The same for people."""
    title = f"{status['run']} ({status['data']}, last started {status['updated']})"
    table = Table(title=Text(title, style="table.title"), title_justify="left")  # a name is no markup
    left = any(study["states"]["left"] for study in status["studies"].values())
    columns = ("step", "complete", "running", *(["left"] if left else []), "failed", "pruned", _BEST)
    for name in columns:
        table.add_column(name, justify="left" if name in ("step", _BEST) else "right")
    results = [name for name in ("baseline", "coefficients", "frontier", "train") if status[name]]
    told = f"results: {', '.join(results)}, see report.html" if results else "no results yet"
    lines = [f"{'a command is at work' if status['at_work'] else 'no command is at work'}; {told}"]
    if left:
        lines.append("left: begun by a driver that has ended; the same command trains them again")
    table.caption, table.caption_justify = "\n".join(lines), "left"
    for name, study in status["studies"].items():
        states = study["states"]
        best = study["best"]
        told = "" if best is None else f"{status['metric']} {_best(best)}"
        asked = f" of {status['asked_trials']}" if name == "discover" else ""
        table.add_row(
            name,
            f"{states['complete']}{asked}",
            str(states["running"]),
            *([str(states["left"])] if left else []),
            str(states["fail"]),
            str(states["pruned"]),
            told,
        )
    if status["train"] is not None:
        table.add_row("train", "1", "", "", "", _trained(status["train"]))
    return table


def _best(trial: dict[str, Any]) -> str:
    return f"{100 * trial['accuracy']:.2f} %, {trial['macs'] / 1e6:.3g} M MACs (#{trial['number']})"


def _trained(result: dict[str, Any]) -> str:
    accuracy = result["accuracy"]
    test = "" if accuracy["test"] is None else f", test {100 * accuracy['test']:.2f} %"
    return (
        f"{result['measured']} val {100 * accuracy['val']:.2f} %{test}, {result['macs'] / 1e6:.3g} M MACs "
        f"({result['epochs']} epochs, recipe {result['recipe']})"
    )


def watch_status(folder: RunFolder, console: Console, interval: float = 2.0) -> None:
    """Show the state on one screen, and again whenever a file of the run has changed, until interrupted."""
    seen: list[float] = []
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            now = [
                float(driver_lives(folder.path)),
                *(path.stat().st_mtime for path in [*sorted(folder.path.glob("*.journal")), folder.record]),
            ]
            if now != seen:
                seen = now
                live.update(status_table(run_status(folder)), refresh=True)
            time.sleep(interval)


def _study(folder: RunFolder, name: str, lives: bool) -> dict[str, Any]:
    try:
        study = read_study(folder.journal(name), name)
    except ValueError as error:
        raise UserError(str(error)) from None
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name.lower() for trial in trials)
    if not lives:
        states["left"] = states.pop("running", 0)
    complete = (trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE)
    scored = [trial for trial in complete if stored_request(trial) and measured(trial.user_attrs) is not None]
    best = max(scored, key=lambda trial: trial.value or 0.0, default=None)
    return {
        "states": {state: states[state] for state in ("complete", "running", "left", "fail", "pruned")},
        "best": None if best is None else {
            "number": best.number, "value": best.value, "accuracy": measured(best.user_attrs),
            "macs": best.user_attrs["macs"], "arch_id": best.user_attrs["arch_id"],
        },
    }  # fmt: skip


def _parts(record: Any, *names: str) -> dict[str, Any] | None:
    """Some fields of a record as plain data; None of none."""
    return None if record is None else {name: plain(getattr(record, name)) for name in names}
