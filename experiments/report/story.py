"""What was asked and what came out, in a few sentences."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from experiments.records import BaselineRecord, CostFacts, Finding, ForecastRecord, RunRecord, TrainingRecord
from experiments.records.forecast import MISFIT
from experiments.records.values import needed
from experiments.tables.frontier import FrontierPoint
from experiments.wording import in_units, percent
from nas.evaluation import Fidelity
from scaling_search import FamilyMember

_ASKED = {
    "scale": "a given network was to be grown",
    "compare": "networks were to be trained alike and compared",
    "fidelity": "it was to be measured whether a short training ranks networks as a long one does",
    "train": "one network was to be trained in full",
}


def asked(record: RunRecord, finished: int | None) -> str:
    """The question. finished: complete trials of the search (None: not known)."""
    what = record.data.name or "unknown data"
    if record.data.images:
        classes = record.data.num_classes or 0
        what += f" ({classes} classes, {record.data.train_images or 0:,} training images)"
    if "discover" not in record.steps:
        steps = [words for step, words in _ASKED.items() if step in record.steps]
        return f"On {what}, {'; '.join(steps or ['nothing was begun yet'])}; no search was asked for."
    wanted, cost = 0 if record.score is None else record.score.target_macs, record.cost
    if cost.name == "macs":
        target = f"about {in_units(wanted)} multiply-adds"
    else:
        target = f"a {cost.words} of about {wanted:.4g} {cost.unit}".rstrip()
    done = "" if finished is None else f", {finished} of which are finished"
    settings = record.asked("discover")
    known = settings.trials is not None and settings.epochs is not None
    trials = f"{settings.trials} trials of {settings.epochs} epochs" if known else "trials"
    return f"On {what}, a network of {target} was searched for with {trials}{done}."


def found(baseline: BaselineRecord, cost: CostFacts) -> str:
    """The network that the run has, found or given. cost: what the search charged for."""
    size = _size(baseline.macs, baseline.params)
    if baseline.accuracy is None:
        return f"The baseline was given: {size}."
    if cost.name not in ("macs", "params") and baseline.cost is not None:
        size += f", with a {cost.words or cost.name} of {baseline.cost:.3g} {cost.unit}".rstrip() + ","
    seeds = f", mean of {baseline.n} fresh seeds" if baseline.n > 1 else ""
    after = "the short training" if baseline.fidelity is None else _epochs(baseline.fidelity)
    if baseline.int8 is not None:
        seeds += f"; quantised to int8 it reaches {percent(baseline.int8, baseline.int8_std)}"
    return (
        f"It found one of {size} that reaches {percent(baseline.accuracy, baseline.accuracy_std)} on "
        f"{baseline.split} after {after}{seeds}."
    )


def passed_over(number: int, once: float | None, again: Sequence[float], baseline: BaselineRecord) -> str:
    """Why the best trial of the search is not the baseline. once: what it reached there; again: in the confirmation."""
    length = "" if baseline.fidelity is None else f" for {_epochs(baseline.fidelity)}"
    in_search = "" if once is None else f" ({percent(once)})"
    reached, found = percent(statistics.fmean(again)), percent(baseline.accuracy or 0.0)
    seeds = f"{len(again)} fresh seed{'s' * (len(again) > 1)}"
    return (
        f"Trial {number} had the best score of the search{in_search}, from one seed. Trained again{length} "
        f"from {seeds} it reached {reached}, and the network found {found}, which has the better score then."
    )


def _epochs(how: Fidelity) -> str:
    return f"{how.epochs} epoch{'s' * (how.epochs != 1)}"


def given(member: FamilyMember, record: RunRecord, trainings: int | None) -> str:
    """The network that grew without having been searched for: phi 0 of family.json. trainings: those of all studies
    that have an accuracy (None: not known)."""
    names = record.asked("scale").arch
    if names is not None and not names:
        origin = "No network was given, so EfficientNet-B0 was fitted to the target"
    else:
        origin = "The network was given" + (f" ({', '.join(names)})" if names else "")
    return f"{origin}: {_size(member.macs, member.params)}{_trainings(trainings)}."


def nothing_yet(record: RunRecord, trainings: int | None) -> str:
    """No network is known. trainings: as for `given`."""
    if "discover" in record.steps or "scale" not in record.steps:
        what = "No baseline is chosen yet" if "discover" in record.steps else "No baseline was asked for"
    else:
        what = "The family of the network to grow is not known yet"
    return f"{what}{_trainings(trainings)}."


def trained(result: TrainingRecord) -> str:
    """What came out of a full training."""
    accuracy, weights = result.accuracy, needed(result.weights, "weights")
    test = "" if accuracy.test is None else f" and {percent(accuracy.test)} on test"
    if weights.kept == "best":
        chosen = f"epoch {weights.epoch}, the best on val, whose figure is flattered by that"
    else:
        chosen = "the last epoch"
    length = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
    start = f", starting from {result.started_from}" if result.started_from else ""
    return (
        f"A network of {_size(result.macs, result.params)} was trained for {length} of recipe {result.recipe}{start}; "
        f"it reaches {_of(result)}{percent(accuracy.val)} on val{test} (weights of {chosen})."
    )


def models(run: str, names: Sequence[str], advised: str) -> str:
    """Which trained networks the run folder holds, and what to do with them. advised: the name of the one to take,
    which is preferred."""
    count = "one network" if len(names) == 1 else f"{len(names)} networks"
    first = advised if advised in names else "baseline" if "baseline" in names else names[0]
    file = f"{run}/models/{first}.safetensors"
    return (
        f"What now: the trained weights of {count} are in models/, each from the seed that is best on val. To name the "
        f"class of an image: scalenas predict {file} IMAGE. For figures of each class: scalenas evaluate {file} DATA. "
        f"For another program: scalenas export {file} -o net.onnx."
        + f" For a longer training of the baseline: scalenas train {run} DATA --run OTHER."
        * (first == "baseline")
    )


def trained_now(run: str) -> str:
    """What to do with a network that was trained in full."""
    return (
        f"What now: name the classes of images by scalenas predict {run} IMAGE, see each class by scalenas evaluate "
        f"{run} DATA, and write it for another program by scalenas export {run} -o net.onnx."
    )


def _of(result: TrainingRecord) -> str:
    return "" if result.measured == "accuracy" else f"a {result.measured} of "


def training(record: RunRecord) -> str:
    """A full training that was begun and has no result yet."""
    identity = record.identity
    return (
        f"A training of {identity.get('training epochs', '?')} epochs of recipe "
        f"{identity.get('training recipe', '?')} was begun; it has no result yet."
    )


def _size(macs: int, params: int) -> str:
    return f"{in_units(macs)} multiply-adds and {in_units(params)} parameters"


def _trainings(count: int | None) -> str:
    return "" if count is None else f"; {count} training{' has' if count == 1 else 's have'} an accuracy so far"


def _between(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})"


def forecast(expected: ForecastRecord, score: str | None) -> str:
    """What the forecasts in the family's table are of, how they turned out (`score`), and whether to rely on them."""
    lines = [f"Forecast from the trainings of the coefficient search alone, with 90 % intervals: {expected.how}."]
    if expected.lack_of_fit < MISFIT:
        lines.append(f"The model does not fit those trainings (p = {expected.lack_of_fit:.3f}): do not rely on it.")
    if expected.rules_line is not None:
        lines.append(f"{expected.rules_line[0].upper()}{expected.rules_line[1:]}.")
    if (by_size := expected.size_drift) is not None:
        lines.append(f"{by_size.sentence[0].upper()}{by_size.sentence[1:]}.")
    return " ".join([*lines, *filter(None, [score])])


def grown(found: Finding | None, points: Sequence[FrontierPoint]) -> str:
    """How the network grows, and what it and its family reach."""
    if found is None:
        line = "How to grow it has not been measured yet"
    else:
        values = {"alpha": found.alpha, "beta": found.beta, "gamma": found.gamma}
        depth, width, resolution = (
            f"{value:.2f}" + _between((found.intervals or {}).get(name)) for name, value in values.items()
        )
        sure = "; 90 % intervals" if found.intervals else ""
        line = (
            f"For twice the cost, the coefficients found multiply depth by {depth}, width by {width} and resolution by "
            f"{resolution}{sure}"
        )
    own = [point for point in points if point.role in ("baseline", "family")]
    known = [point for point in points if point.role == "reference"]
    if not own:
        return line + ("." if not known else f"; {len(known)} known networks were trained beside it.")
    best = max(own, key=lambda point: point.accuracy)
    line += "; its best trained member" if best.role == "family" else "; the baseline itself"
    return f"{line} reaches {percent(best.accuracy, best.std)} on {best.split} at {in_units(best.macs)} multiply-adds."
