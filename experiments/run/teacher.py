"""A trained network that others imitate: what `--teacher` names, and the trainings in which it is imitated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from experiments.errors import UserError, from_user
from experiments.records.model import ModelRecord, read_model
from experiments.run.context import RunContext
from experiments.run.models import Trained, load_trained
from nas.training.adapted import Adapted, Normalisation, folded
from nas.training.objective import Teacher
from nas.training.proxy import ProxyEvaluator

AUTO = "auto"


def check_teacher(run: RunContext, text: str) -> None:
    """Raise UserError now where `open_teacher` could only do it after hours of training."""
    evaluator = run.problem.evaluator
    if isinstance(evaluator, ProxyEvaluator) and text != AUTO:
        taught(run, open_teacher(run, text))
    elif isinstance(evaluator, ProxyEvaluator) and evaluator.keep is None:
        raise UserError(f"--teacher {AUTO}: without test images no weights are kept; name a model instead")


def open_teacher(run: RunContext, text: str) -> Trained:
    """A model of scalenas, or with `auto` that of the run's frontier which is the most accurate on val and had no
    teacher itself.

    Raises UserError where there is none, or it knows other classes than the run's images have.
    """
    if text == AUTO:
        models = {file: read_model(file) for file in sorted(run.folder.models.glob("*.safetensors"))}
        found = {file: model.accuracy.val for file, model in models.items() if not _had_teacher(model)}
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
    evaluator = run.problem.evaluator
    assert isinstance(evaluator, ProxyEvaluator)
    network = folded(teacher.network)
    before = (evaluator, *evaluator.beside)
    with from_user(str(teacher.file)):
        after = [replace(_taught(each, teacher, network), beside=()) for each in before]
    first = replace(after[0], beside=tuple(after[1:]))
    run.close_pool()
    problem = replace(run.problem, evaluator=first, method=first.method)
    methods = {old.method: new.method for old, new in zip(before, after, strict=True)}
    return replace(run, problem=problem), methods


def _taught(evaluator: ProxyEvaluator, teacher: Trained, network: nn.Module) -> ProxyEvaluator:
    record, dataset = teacher.record, evaluator.dataset
    own, given = Normalisation(record.mean, record.std), Normalisation(dataset.mean, dataset.std)
    seen = Adapted(network, record.arch.resolution, own, given)
    return replace(evaluator, objective=replace(evaluator.objective, teacher=Teacher(seen)))
