"""The trials of a search as a table: trials.csv."""

from __future__ import annotations

import pandas as pd
from optuna.study import Study
from optuna.trial import TrialState

from search_spaces import ArchSpec, format_blocks

_ATTRIBUTES = ("accuracy", "macs", "params", "arch_id", "seed", "split", "seconds", "device", "duplicate_of",
               "failure_kind", "failure_message", "pruned_because", "pruned_at")  # fmt: skip


def trials_csv(study: Study) -> str:
    """One row a finished trial: number, state, score, what was trained and what came out, then its parameters."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            continue
        attrs = trial.user_attrs
        fidelity = attrs.get("fidelity", {})
        rows.append(
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value if trial.state == TrialState.COMPLETE else None,
                **{name: attrs.get(name) for name in _ATTRIBUTES},
                **{name: fidelity.get(name) for name in ("epochs", "train_fraction", "resolution_factor")},
                "blocks": format_blocks(ArchSpec.from_dict(attrs["arch"])) if "arch" in attrs else None,
                **trial.params,
            }
        )
    return pd.DataFrame(rows).to_csv(index=False)
