"""A trained network that others imitate: what `--teacher` names, and the trainings in which it is imitated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import nn

from experiments.errors import UserError, from_user
from experiments.records.model import ModelRecord, read_model
from experiments.run.context import RunContext
from experiments.run.models import Trained, load_trained
from nas.training.adapted import Adapted, Normalisation, Sight, folded
from nas.training.objective import Teacher
from nas.training.proxy import ProxyEvaluator

AUTO = "auto"


def check_teacher(run: RunContext) -> None:
    """Raise UserError at once for a --teacher that could not teach in the end, after hours of training."""
    text, evaluator = run.settings.final.teacher, run.problem.evaluator
    if text is None or not isinstance(evaluator, ProxyEvaluator):
        return
    if text != AUTO:
        teacher, dataset = open_teacher(run, text), evaluator.dataset
        _evaluators(run, teacher)
        wanted = min(teacher.record.arch.resolution, dataset.native_size)
        if dataset.size < wanted:
            run.narrator.say(
                f"warning: the teacher was made for {wanted} pixels, and the images of this run are cached at "
                f"{dataset.size}: it is less accurate than it can be; a new run with --resolution max:{wanted} has them"
            )
    elif evaluator.keep is None:
        raise UserError(f"--teacher {AUTO}: without test images no weights are kept; name a model instead")


def open_teacher(run: RunContext, text: str) -> Trained:
    """A model of scalenas, or with `auto` that of the run's frontier which is the most accurate on val and had no
    teacher itself.

    Raises UserError where there is none, or it knows other classes than the run's images have.
    """
    if text == AUTO:
        found: dict[Path, float] = {}
        for file in sorted(run.folder.models.glob("*.safetensors")):
            with suppress(UserError):  # no model of ours
                model = read_model(file)
                found |= {} if _had_teacher(model) else {file: model.accuracy.val}
        if not found:
            raise UserError(f"--teacher {AUTO}: no network of this run's frontier has kept its weights")
        text = str(max(found, key=found.__getitem__))
    teacher = load_trained(text, plain=True)
    evaluator = run.problem.evaluator
    if isinstance(evaluator, ProxyEvaluator) and teacher.record.classes != evaluator.dataset.classes:
        raise UserError(f"{teacher.file}: knows other classes than {run.problem.name} has")
    return teacher


def _had_teacher(model: ModelRecord) -> bool:
    return model.made_by is not None and "teacher=" in model.made_by.recipe


def taught(run: RunContext, teacher: Trained) -> tuple[RunContext, Mapping[str, str]]:
    """The same run with the teacher imitated in all its trainings; and how each is asked for, by how it was asked for
    without one (see Request.method). The pool that it has is closed.

    Raises UserError where the teacher cannot see the run's images.
    """
    pairs = _evaluators(run, teacher)
    first, *beside = pairs.values()
    first = replace(first, beside=tuple(beside))
    run.close_pool()
    problem = replace(run.problem, evaluator=first, method=first.method)
    return replace(run, problem=problem), {method: new.method for method, new in pairs.items()}


def _evaluators(run: RunContext, teacher: Trained) -> dict[str, ProxyEvaluator]:
    """Those of the run with the teacher, by the method of the same without one, the run's own first."""
    evaluator = run.problem.evaluator
    assert isinstance(evaluator, ProxyEvaluator)
    network = folded(teacher.network)
    return {
        each.method: replace(taught_by(teacher, network, each), beside=()) for each in (evaluator, *evaluator.beside)
    }


def taught_by(teacher: Trained, network: nn.Module, evaluator: ProxyEvaluator) -> ProxyEvaluator:
    """The same evaluator with the teacher imitated in its trainings. network: the teacher's, for evaluation alone.

    Raises UserError where the teacher cannot see the evaluator's images.
    """
    record, dataset = teacher.record, evaluator.dataset
    own, given = Normalisation(record.mean, record.std), Normalisation(dataset.mean, dataset.std)
    # A student that sees colours in grey is no reason for the teacher to: it would be less accurate than it can be.
    if len(own.mean) == dataset.channels > len(given.mean):
        given = own
    resolution = record.arch.resolution
    with from_user(str(teacher.file)):
        seeing = Teacher(Adapted(network, resolution, own, given), sees=Sight(resolution, given))
    return replace(evaluator, objective=replace(evaluator.objective, teacher=seeing))
