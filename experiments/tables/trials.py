"""The trials of a search as a table: trials.csv."""

from __future__ import annotations

import pandas as pd
from optuna.study import Study
from optuna.trial import TrialState

from experiments.tables.csv_rows import to_csv
from nas.study.attributes import COST, METRIC_VALUE
from search_spaces import ArchSpec, format_blocks

_ATTRIBUTES = ("accuracy", "macs", "params", "arch_id", "seed", "split", "seconds", "device", "duplicate_of",
               "failure_kind", "failure_message", "pruned_because", "pruned_at")  # fmt: skip
_OF_SOME = ("metric", METRIC_VALUE, COST)
"""Attributes that only some searches have: of a metric other than accuracy, of a score that charges for other than
MACs."""


def trials_csv(study: Study) -> str:
    """One row a finished trial: number, state, score, what was trained and what came out, then its parameters."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    own = [name for name in _OF_SOME if any(name in trial.user_attrs for trial in trials)]
    rows = []
    for trial in trials:
        attrs = trial.user_attrs
        fidelity = attrs.get("fidelity", {})
        rows.append(
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value if trial.state == TrialState.COMPLETE else None,
                **{name: attrs.get(name) for name in (*own, *_ATTRIBUTES)},
                **{name: fidelity.get(name) for name in ("epochs", "train_fraction", "resolution_factor")},
                "blocks": format_blocks(ArchSpec.from_dict(attrs["arch"])) if "arch" in attrs else None,
                **trial.params,
            }
        )
    return to_csv(pd.DataFrame(rows))
