"""What the weights of a run's networks say of how they were made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.options.settings import Settings
from experiments.records.model import MadeBy, read_model
from experiments.run.context import open_run
from experiments.run.models import keep_models
from experiments.run.progress import Narrator
from nas.evaluation import Fidelity, Outcome, Request, with_int8
from nas.training.checkpoint import save_weights
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network

TINY = ArchSpec((StageSpec(channels=8),), StemSpec(8), HeadSpec(16), resolution=8, input_channels=1)


def test_a_recipe_is_that_of_the_training_alone(tmp_path: Path) -> None:
    """Weights that are measured in int8 as well are those of the same training in float32."""
    given = {"devices": "cpu", "workers": 1, "final_epochs": 2, "train_images": 60}
    said: list[MadeBy | None] = []
    with open_run("digits", tmp_path, Settings().with_given(given), Narrator()) as opened:
        evaluator = opened.problem.evaluator
        assert isinstance(evaluator, ProxyEvaluator)
        assert evaluator.keep is not None
        noted = replace(evaluator, noted="recipe=mine")
        problem = replace(opened.problem, evaluator=replace(evaluator, beside=(noted,)))
        run = replace(opened, problem=problem)
        for method in ("", with_int8(""), with_int8("recipe=mine")):
            request = Request(TINY, Fidelity(2), split="test", method=method)
            file = evaluator.keep.file(request)
            assert file is not None
            file.parent.mkdir(parents=True, exist_ok=True)
            save_weights(build_network(TINY, 10), file)
            keep_models(run, {"net": [(request, Outcome(0.5, metrics={"val_accuracy": 0.5}))]})
            said.append(read_model(tmp_path / "models" / "net.safetensors").made_by)
    assert [made_by and made_by.recipe for made_by in said] == ["fast", "fast", "fast, recipe=mine"]
