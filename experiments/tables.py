"""Studies and results as CSV tables."""

from __future__ import annotations

import pandas as pd
from optuna.study import Study
from optuna.trial import TrialState

from scaling_search import CoefficientSearch
from search_spaces import ArchSpec, format_blocks

_ATTRIBUTES = ("accuracy", "macs", "params", "arch_id", "seed", "split", "seconds", "device", "duplicate_of",
               "failure_kind", "failure_message")  # fmt: skip


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


def grid_csv(found: CoefficientSearch) -> str:
    """One row a point and seed of the coefficient search."""
    rows = []
    for result in found.results:
        point = result.point
        for seed, accuracy in sorted(result.accuracies.items()):
            rows.append(
                {
                    "alpha": point.coefficients.depth,
                    "beta": point.coefficients.width,
                    "gamma": point.coefficients.resolution,
                    "nominal_cost": point.nominal_cost,
                    "realised_cost": point.cost,
                    "share_depth": point.shares.depth,
                    "share_width": point.shares.width,
                    "share_resolution": point.shares.resolution,
                    "resolution": point.arch.resolution,
                    "macs": point.macs,
                    "params": point.params,
                    "arch_id": point.arch_id,
                    "seed": seed,
                    "accuracy": accuracy,
                }
            )
    return pd.DataFrame(rows).to_csv(index=False)
