"""The table of a search's trials: the columns that every search has, and those of other metrics and costs."""

from __future__ import annotations

import io
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import create_trial

from experiments.tables.trials import trials_csv
from nas.evaluation import Outcome
from nas.figures import counts
from nas.study.attributes import COST, outcome_attrs, request_attrs
from tests.helpers.evaluators import request

COLUMNS = (
    "number,state,score,accuracy,macs,params,arch_id,seed,split,seconds,device,duplicate_of,failure_kind,"
    "failure_message,pruned_because,pruned_at,epochs,train_fraction,resolution_factor,blocks"
)


def table(*ends: dict[str, Any]) -> str:
    """Of trials that ended so."""
    study = optuna.create_study(direction="maximize")
    asked = request()
    figures = {figure.name: figure.of(asked.arch) for figure in counts(10)}
    for attrs in ends:
        study.add_trial(create_trial(value=0.5, user_attrs={**request_attrs(asked, figures), **attrs}))
    return trials_csv(study)


def test_a_search_by_accuracy_and_multiply_adds_has_the_columns_that_it_always_had() -> None:
    assert table(outcome_attrs(Outcome(0.5))).splitlines()[0] == COLUMNS


@pytest.mark.parametrize(
    ("attrs", "more"),
    [
        ({**outcome_attrs(Outcome(0.5)), COST: 7.5}, {"cost": 7.5}),
        (outcome_attrs(Outcome(value=0.25, metric="macro_f1")), {"metric": "macro_f1", "metric_value": 0.25}),
    ],
)
def test_another_metric_or_cost_has_columns_of_its_own(attrs: dict[str, Any], more: dict[str, Any]) -> None:
    rows = pd.read_csv(io.StringIO(table(outcome_attrs(Outcome(0.5)), attrs)))
    assert sorted(rows.columns) == sorted([*COLUMNS.split(","), *more])
    assert rows[list(more)].iloc[0].isna().all()
    assert rows[list(more)].iloc[1].to_dict() == more
