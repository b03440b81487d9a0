"""Between the coefficients and the frontier: what the family is expected to reach, before it is trained."""

from __future__ import annotations

from experiments.errors import UserError
from experiments.pictures.run_folder import size_drift_pictures
from experiments.plans.forecasts import forecast_family, read_law
from experiments.records import CoefficientsRecord, FamilyRecord, ForecastRecord
from experiments.records.forecast import MISFIT
from experiments.run.context import RunContext


def run_forecast(run: RunContext) -> ForecastRecord | None:
    """Write forecast.json, for the trainings that the frontier will have, and say what is in it.

    Where no forecast can be made, the reason is said: nothing of the run depends on it."""
    file = run.folder.path / ForecastRecord.FILE
    try:
        record = _forecast(run)
    except (UserError, ValueError, ArithmeticError) as error:
        file.unlink(missing_ok=True)
        size_drift_pictures(run.folder.path, None, data=run.problem.name)
        run.narrator.say(f"no forecast for the family: {error}")
        return None
    run.folder.write(record)
    size_drift_pictures(run.folder.path, record, data=run.problem.name)
    run.results_written()
    for line in forecast_lines(record):
        run.narrator.say(line)
    return record


def forecast_lines(record: ForecastRecord) -> list[str]:
    """A forecast for people."""
    told = ", ".join(f"phi {each.phi:g} {each.in_words}" for each in record.members if each.phi >= 0)
    lines = [f"forecast for the family, {record.how} (90 % intervals): {told}"]
    if record.rules_line is not None:
        lines.append(f"  {record.rules_line}")
    if (by_size := record.size_drift) is not None:
        lines.append(f"  {by_size.sentence}")
    if record.lack_of_fit < MISFIT:
        lines.append(
            f"warning: the model of this forecast does not fit the trainings (p = {record.lack_of_fit:.3f}): "
            "do not rely on it"
        )
    return lines


def _forecast(run: RunContext) -> ForecastRecord:
    problem = run.problem
    return forecast_family(
        read_law(run.folder, problem.final_split),
        run.folder.get(FamilyRecord).members,
        run.folder.get(CoefficientsRecord),
        epochs=run.final.epochs,
        n=run.settings.final.final_seeds,
        split=problem.final_split,
        recipe=problem.recipe,
        metric=problem.metric,
    )
